"""The manifest of an artifact: what it is and what it was made from, as a deterministic JSON file.

Owns the form of the file, and what is wrong with it whatever lies beside it; artifacts.py looks at that.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stages.keys import FORMAT, PAYLOAD_NAME, STAGE_NAME, ArtifactId, Digest, JsonValue, Key, Node
from stages.machine.json_files import parse_json
from stages.store.checksum import add_checksum, check_checksum

_XXH3_128 = re.compile(r"[0-9a-f]{32}")
# Beside the payload: what it is, how it was made, the first under its name while the artifact is to be made again, and
# the second under its name once `doit gc` has deleted the payload.
MANIFEST, RUN, FORGOTTEN, COLLECTED = "manifest.json", "run.json", "manifest.forgotten.json", "run.collected.json"
DAMAGED_RUN = "run.damaged.json"  # where a damaged run.json is put aside: nothing depends on it
NOTE = ".checked"  # that the payload's file was whole (payloads.py)
OWN_FILES = (MANIFEST, RUN, FORGOTTEN, COLLECTED, DAMAGED_RUN, NOTE)


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

    @staticmethod
    def of(
        node: Node, inputs: Mapping[ArtifactId, Digest], *, code: Digest, payload: str, size_bytes: int, digest: Digest
    ) -> "Manifest":
        """The manifest of what was made for a node, from inputs with these digests."""
        return Manifest(
            format=FORMAT,
            stage=node.stage,
            key=node.key,
            parameters=node.parameters,
            components=node.components,
            inputs={artifact.stage: Input(artifact.key, inputs[artifact]) for artifact in node.input_artifacts},
            code=code,
            payload=payload,
            size_bytes=size_bytes,
            digest=digest,
        )

    @property
    def node(self) -> Node:
        """The node that the artifact was made for."""
        inputs = {stage: entry.key for stage, entry in self.inputs.items()}
        return Node(stage=self.stage, parameters=self.parameters, components=self.components, inputs=inputs)

    def to_json(self) -> str:
        """The manifest file's text: a checksum of the rest, then sorted, indented, ends with a line break."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        return add_checksum(text)

    @staticmethod
    def from_json(text: str) -> "Manifest":
        """The inverse of `to_json`, for a text of which nothing is known.

        Manifests that were written before there was a checksum have none, and are read as well.

        Raises:
            ValueError: it is no manifest of this FORMAT, is not what was written, or says things that cannot be true
                together.
        """
        fields = parse_json(check_checksum(text))
        _check_fields(fields)
        inputs = {stage: Input(**entry) for stage, entry in fields["inputs"].items()}
        manifest = Manifest(**(fields | {"inputs": inputs}))
        try:
            _check_claims(manifest)
        except RecursionError as error:  # what can just be read can be too deep to be written
            raise ValueError("it is nested too deeply") from error
        return manifest


def _is_xxh3(value: object) -> bool:
    return isinstance(value, str) and _XXH3_128.fullmatch(value) is not None


def _is_stage(value: object) -> bool:
    return isinstance(value, str) and STAGE_NAME.fullmatch(value) is not None


def _is_input(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"key", "digest"} and all(map(_is_xxh3, value.values()))


_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "format": lambda value: type(value) is int and value == FORMAT,  # JSON's true is not 1
    "stage": _is_stage,
    "key": _is_xxh3,
    "parameters": lambda value: isinstance(value, dict),
    "components": lambda value: isinstance(value, dict) and all(isinstance(text, str) for text in value.values()),
    "inputs": lambda value: (
        isinstance(value, dict) and all(map(_is_stage, value)) and all(map(_is_input, value.values()))
    ),
    "code": _is_xxh3,
    "payload": lambda value: (
        isinstance(value, str) and PAYLOAD_NAME.fullmatch(value) is not None and value not in OWN_FILES
    ),
    "size_bytes": lambda value: type(value) is int and 0 <= value < 2**63,
    "digest": _is_xxh3,
}


def _check_fields(fields: object) -> None:
    """Raise ValueError unless these are a manifest's fields, each of its type."""
    if not isinstance(fields, dict):
        raise ValueError("it is not a JSON object")
    faults = [name for name, is_right in _FIELDS.items() if name not in fields or not is_right(fields[name])]
    faults += fields.keys() - _FIELDS.keys()
    if faults:
        raise ValueError(f"wrong, missing or unknown: {', '.join(sorted(faults))}")


def _check_claims(manifest: Manifest) -> None:
    """Raise ValueError unless the fields agree with each other."""
    if manifest.key != manifest.node.key:
        raise ValueError("its key is not that of its stage, parameters, components and inputs")
