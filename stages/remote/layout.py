"""Names of objects in a remote store. They are an interface: other versions of this project read them.

    artifacts/<stage>/<key>/<variant>.json   what an artifact is and how it was made; its payload is there
    records/<stage>/<key>/<variant>.json     the same of one whose payload nobody has pushed
    payloads/<digest>/<name>                 a payload, by the digest of its bytes; a large one in parts: <name>.00000

A key says what is to be made. What it comes out as depends on the code and on the bytes that were read, and of each
such variant the first is kept: two machines can differ in low-order bits.
"""

import re
from collections.abc import Mapping
from typing import Final

from stages.keys import KEY_NAME, STAGE_NAME, ArtifactId, Digest, canonical_json, digest_bytes
from stages.store.manifest import Manifest

ARTIFACTS: Final = "artifacts"
RECORDS: Final = "records"
PAYLOADS: Final = "payloads"
PART_BYTES: Final = 8 << 20  # of a large payload; both are large enough for full speed, and lose little when cut
ENTRY_NAME: Final = re.compile(
    rf"(?P<kind>{ARTIFACTS}|{RECORDS})/(?P<stage>{STAGE_NAME.pattern})/(?P<key>{KEY_NAME.pattern})/"
    rf"(?P<variant>{KEY_NAME.pattern})\.json"
)


def find_variant(code: Digest, inputs: Mapping[str, Digest]) -> Digest:
    """Which of the artifacts of one key: by the fingerprint of the code, and the digests of what was read, by stage."""
    return digest_bytes(canonical_json({"code": code, "inputs": dict(inputs)}))


def variant_of(manifest: Manifest) -> Digest:
    """That of an artifact."""
    return find_variant(manifest.code, {stage: each.digest for stage, each in manifest.inputs.items()})


def name_entry(artifact: ArtifactId, variant: Digest, *, is_whole: bool) -> str:
    """The object that says what an artifact is; `is_whole`: with its payload."""
    return f"{ARTIFACTS if is_whole else RECORDS}/{artifact.stage}/{artifact.key}/{variant}.json"


def folder_of_payload(digest: Digest) -> str:
    """Where the objects of a payload are."""
    return f"{PAYLOADS}/{digest}"


def name_parts(manifest: Manifest, part_bytes: int = PART_BYTES) -> list[str]:
    """The objects of a payload, in order: one, or several of `part_bytes` each, but for the last."""
    folder = folder_of_payload(manifest.digest)
    if manifest.size_bytes <= part_bytes:
        return [f"{folder}/{manifest.payload}"]
    num_parts = -(-manifest.size_bytes // part_bytes)
    return [f"{folder}/{manifest.payload}.{index:05d}" for index in range(num_parts)]


def size_of_part(manifest: Manifest, index: int, part_bytes: int = PART_BYTES) -> int:
    """Bytes of one of them."""
    return min(part_bytes, manifest.size_bytes - index * part_bytes)
