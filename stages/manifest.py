"""The manifest of an artifact: what it is and what it was made from, as a deterministic JSON file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stages.keys import Digest, JsonValue, Key


@dataclass(frozen=True)
class Input:
    """An artifact that another was made from."""

    key: Key
    digest: Digest


@dataclass(frozen=True)
class Manifest:
    """What an artifact is. Deterministic: the same inputs and the same bytes give the same manifest.

    Attributes:
        format: FORMAT of keys.py when it was made.
        stage, key, parameters, components: those of the node.
        inputs: key and payload digest of each artifact that was read, by stage.
        code: fingerprint of the code that made it.
        payload: name, size in bytes and XXH3-128 of the file that was made.
    """

    format: int
    stage: str
    key: Key
    parameters: Mapping[str, JsonValue]
    components: Mapping[str, str]
    inputs: Mapping[str, Input]
    code: Digest
    payload: str
    size_bytes: int
    digest: Digest

    def to_json(self) -> str:
        """The manifest file's text: sorted, indented, ends with a line break."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @staticmethod
    def from_json(text: str) -> "Manifest":
        """Raises ValueError, KeyError, TypeError or AttributeError when the text is not a manifest."""
        fields: dict[str, Any] = json.loads(text)
        inputs = {stage: Input(**entry) for stage, entry in fields.pop("inputs").items()}
        return Manifest(**fields, inputs=inputs)
