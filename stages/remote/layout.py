"""Names of objects in a remote store. They are an interface: other versions of this project read them.

    artifacts/<stage>/<key>/<variant>.json   what an artifact is and how it was made; its payload is there
    records/<stage>/<key>/<variant>.json     the same of one whose payload nobody has pushed
    payloads/<digest>/<name>                 a payload, by the digest of its bytes
    payloads/<digest>/<name>.<size>.00000    a part of a large one, by the bytes of a part; of 8 MiB: <name>.00000
    payloads/<digest>/<copy>/<name>          the same once more, where `doit gc --remote` is deleting the first
    payloads/<digest>/.touched               empty: its time is when a push last relied on that copy; also below <copy>/
    payloads/<digest>/.collected-<id>        empty: a collector deletes that copy, or has; also below <copy>/
    uses/<stage>/<key>/<variant>/used        empty: its time is when the artifact was last fetched, or pushed again
    uses/<stage>/<key>/<variant>/<id>        empty: a collector is about to delete the artifact
    clocks/<id>                              empty: a collector asks what time it is
    claims/<stage>/<key>/<variant>.json      who makes an artifact at present, for a fleet (claims.py)
    partial/<stage>/<key>                    the state of one that a fleet has not finished (stages/store/partial.py)

A key says what is to be made. What it comes out as depends on the code and on the bytes that were read, and of each
such variant the first is kept: two machines can differ in low-order bits.
"""

import re
from collections.abc import Mapping
from typing import Final

from stages.keys import KEY_NAME, PAYLOAD_NAME, STAGE_NAME, ArtifactId, Digest, canonical_json, digest_bytes
from stages.store.manifest import Manifest

ARTIFACTS: Final = "artifacts"
RECORDS: Final = "records"
PAYLOADS: Final = "payloads"
USES: Final = "uses"
CLOCKS: Final = "clocks"
CLAIMS: Final = "claims"
PARTIAL: Final = "partial"
FIRST_COPY: Final = ""  # of a payload: directly in the folder of its digest
PART_BYTES: Final = 16 << 20  # of a large payload; large enough for full speed, and little is lost when one is cut
_NUMBERED_BYTES: Final = 8 << 20  # the first size that parts had: their names are only numbered
ENTRY_NAME: Final = re.compile(
    rf"(?P<kind>{ARTIFACTS}|{RECORDS})/(?P<stage>{STAGE_NAME.pattern})/(?P<key>{KEY_NAME.pattern})/"
    rf"(?P<variant>{KEY_NAME.pattern})\.json"
)
PAYLOAD_OBJECT: Final = re.compile(
    rf"(?P<folder>{PAYLOADS}/(?P<digest>{KEY_NAME.pattern})(/(?P<copy>{KEY_NAME.pattern}))?)/"
    rf"((?P<touched>\.touched)|(?P<mark>\.collected-{KEY_NAME.pattern})|(?P<part>{PAYLOAD_NAME.pattern}))"
)
USE_OBJECT: Final = re.compile(
    rf"{USES}/(?P<stage>{STAGE_NAME.pattern})/(?P<key>{KEY_NAME.pattern})/(?P<variant>{KEY_NAME.pattern})/"
    rf"((?P<used>used)|(?P<mark>{KEY_NAME.pattern}))"
)
_NODE: Final = rf"(?P<stage>{STAGE_NAME.pattern})/(?P<key>{KEY_NAME.pattern})"
CLAIM_OBJECT: Final = re.compile(rf"{CLAIMS}/{_NODE}/{KEY_NAME.pattern}\.json")
PARTIAL_OBJECT: Final = re.compile(rf"{PARTIAL}/{_NODE}")


def find_variant(code: Digest, inputs: Mapping[str, Digest]) -> Digest:
    """Which of the artifacts of one key: by the fingerprint of the code, and the digests of what was read, by stage."""
    return digest_bytes(canonical_json({"code": code, "inputs": dict(inputs)}))


def variant_of(manifest: Manifest) -> Digest:
    """That of an artifact."""
    return find_variant(manifest.code, {stage: each.digest for stage, each in manifest.inputs.items()})


def name_entry(artifact: ArtifactId, variant: Digest, *, is_whole: bool) -> str:
    """The object that says what an artifact is; `is_whole`: with its payload."""
    return f"{ARTIFACTS if is_whole else RECORDS}/{artifact.stage}/{artifact.key}/{variant}.json"


def folder_of_payload(digest: Digest, copy: str = FIRST_COPY) -> str:
    """Where the objects of a payload are, or those of one of its further copies."""
    return f"{PAYLOADS}/{digest}/{copy}" if copy else f"{PAYLOADS}/{digest}"


def name_parts(manifest: Manifest, part_bytes: int = PART_BYTES, copy: str = FIRST_COPY) -> list[str]:
    """The objects of a payload, in order: one, or several of `part_bytes` each, but for the last.

    The size is in the name, so that a name stands for the same bytes always: artifacts with equal bytes share their
    objects, and versions of this project may cut them differently.
    """
    folder = folder_of_payload(manifest.digest, copy)
    if manifest.size_bytes <= part_bytes:
        return [f"{folder}/{manifest.payload}"]
    num_parts = -(-manifest.size_bytes // part_bytes)
    size = "" if part_bytes == _NUMBERED_BYTES else f".{part_bytes}"
    return [f"{folder}/{manifest.payload}{size}.{index:05d}" for index in range(num_parts)]


def name_touch(digest: Digest, copy: str) -> str:
    """The object whose time says when a push last relied on a copy of a payload."""
    return f"{folder_of_payload(digest, copy)}/.touched"


def mark_of_copy(digest: Digest, copy: str, collector: str) -> str:
    """The object by which a collector says that it deletes a copy of a payload."""
    return f"{folder_of_payload(digest, copy)}/.collected-{collector}"


def folder_of_uses(artifact: ArtifactId, variant: Digest) -> str:
    """Where it is noted of an artifact when it was used, and who is about to delete it."""
    return f"{USES}/{artifact.stage}/{artifact.key}/{variant}"


def name_use(artifact: ArtifactId, variant: Digest) -> str:
    """The object whose time says when an artifact was last fetched, or pushed again."""
    return f"{folder_of_uses(artifact, variant)}/used"


def name_claim(artifact: ArtifactId, variant: Digest) -> str:
    """The object that says who makes an artifact."""
    return f"{CLAIMS}/{artifact.stage}/{artifact.key}/{variant}.json"


def name_partial(artifact: ArtifactId) -> str:
    """The state of an artifact that is not finished."""
    return f"{PARTIAL}/{artifact.stage}/{artifact.key}"


def size_of_part(manifest: Manifest, index: int, part_bytes: int = PART_BYTES) -> int:
    """Bytes of one of them."""
    return min(part_bytes, manifest.size_bytes - index * part_bytes)
