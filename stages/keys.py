"""Names of things by what they are made of: canonical JSON, digests, and the key of a node.

A key is known before anything runs; a digest is known of bytes that exist. Both are XXH3-128 in hex,
which is fast and wide enough against accidents; it is no defence against someone who forges bytes on purpose.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NewType, TypeAlias

import xxhash

FORMAT = 1  # of keys and manifests; raise it when their meaning changes: nothing stored before is found again
# The parameter by which a file from elsewhere takes the place of a stage's result, and the program that reads it.
FROM_FILE = "from_file"

Key = NewType("Key", str)
Digest = NewType("Digest", str)
JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

# Names become names of folders and files in a store.
STAGE_NAME = re.compile(r"[a-z][a-z0-9_]*")
KEY_NAME = re.compile(r"[0-9a-f]{32}")
PAYLOAD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

_SHORT = 12  # hex digits shown to people; 48 bits, two of a million nodes collide with probability 0.002
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def canonical_json(value: object) -> bytes:
    """One byte string per value: sorted names, no spaces, UTF-8; NaN and infinity are refused (ValueError)."""
    return _CANONICAL.encode(value).encode()


def digest_bytes(data: bytes) -> Digest:
    """XXH3-128 of `data`, 32 hex digits."""
    return Digest(xxhash.xxh3_128_hexdigest(data))


def short(key: Key | Digest) -> str:
    """The first digits of a key, as task names and messages show it, or of a digest."""
    return key[:_SHORT]


@dataclass(frozen=True)
class ArtifactId:
    """Which artifact: the stage that makes it, and the key of its node."""

    stage: str
    key: Key

    @property
    def title(self) -> str:
        """What people see: stage and short key, also the name of the node's task."""
        return f"{self.stage}:{short(self.key)}"


def artifact_from(fields: object) -> ArtifactId:
    """The artifact that the fields of a JSON object name, of which nothing is known. Raises ValueError: none."""
    if isinstance(fields, dict):
        stage, key = fields.get("stage"), fields.get("key")
        if isinstance(stage, str) and isinstance(key, str) and STAGE_NAME.fullmatch(stage) and KEY_NAME.fullmatch(key):
            return ArtifactId(stage, Key(key))
    raise ValueError("it names no artifact")


@dataclass(frozen=True)
class Node:
    """One stage of one video: everything that decides its result.

    Attributes:
        stage: name of the stage.
        parameters: the stage's own, merged and checked; where a file from elsewhere takes the place of its result,
            the digest of that file as FROM_FILE, and nothing else.
        components: identity of each checkpoint component that the stage reads, by name.
        inputs: keys of the nodes whose artifacts it reads, by stage.
    """

    stage: str
    parameters: Mapping[str, JsonValue]
    components: Mapping[str, str]
    inputs: Mapping[str, Key]

    @cached_property
    def key(self) -> Key:
        """XXH3-128 of the canonical JSON of all of the above and FORMAT."""
        identity = {
            "format": FORMAT,
            "stage": self.stage,
            "parameters": dict(self.parameters),
            "components": dict(self.components),
            "inputs": dict(self.inputs),
        }
        return Key(digest_bytes(canonical_json(identity)))

    @cached_property
    def artifact(self) -> ArtifactId:
        """The artifact that the node is to become."""
        return ArtifactId(self.stage, self.key)

    @cached_property
    def input_artifacts(self) -> tuple[ArtifactId, ...]:
        """The artifacts that it reads."""
        return tuple(ArtifactId(stage, key) for stage, key in self.inputs.items())

    @cached_property
    def title(self) -> str:
        """What people see: that of its artifact."""
        return self.artifact.title
