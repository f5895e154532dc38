"""What a remote store says of one artifact: its manifest and how it was made, in one object with a checksum."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from stages.keys import KEY_NAME, JsonValue
from stages.machine.json_files import parse_json
from stages.remote.layout import FIRST_COPY, PART_BYTES
from stages.store.checksum import add_checksum, check_checksum, has_checksum
from stages.store.manifest import Manifest

_FIELDS = {"manifest", "run", "part_bytes"}
_MAX_PARTS = 100_000  # that have different names (layout.py)
_COPY = "copy"  # a field of those whose payload is not the first copy


@dataclass(frozen=True)
class Entry:
    """An artifact of a remote store.

    Attributes:
        manifest: what it is.
        run: what run.json says of it.
        part_bytes: of each part of its payload but the last.
        copy: of its payload, which one is meant: FIRST_COPY, or 32 hex digits.
    """

    manifest: Manifest
    run: Mapping[str, JsonValue]
    part_bytes: int = PART_BYTES
    copy: str = FIRST_COPY

    def to_bytes(self) -> bytes:
        """The object."""
        fields = {
            "manifest": json.loads(self.manifest.to_json()),
            "run": dict(self.run),
            "part_bytes": self.part_bytes,
            **({_COPY: self.copy} if self.copy else {}),
        }
        return add_checksum(json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @staticmethod
    def from_bytes(content: bytes) -> "Entry":
        """The inverse of `to_bytes`, for bytes of which nothing is known. Raises ValueError: they are none."""
        fields = parse_json(_check(content))
        if not isinstance(fields, dict) or fields.keys() - {_COPY} != _FIELDS or not isinstance(fields["run"], dict):
            raise ValueError("it has other fields")
        part_bytes = fields["part_bytes"]
        if type(part_bytes) is not int or part_bytes < 1:
            raise ValueError("its parts have no size")
        copy = fields.get(_COPY, FIRST_COPY)
        if not isinstance(copy, str) or not (copy == FIRST_COPY or KEY_NAME.fullmatch(copy)):
            raise ValueError("it does not say where its payload is")
        try:
            manifest = json.dumps(fields["manifest"], indent=2, sort_keys=True, ensure_ascii=False) + "\n"
            entry = Entry(Manifest.from_json(manifest), fields["run"], part_bytes, copy)
            entry.to_bytes()
        except RecursionError as error:  # what can just be read can be too deep to be written
            raise ValueError("it is nested too deeply") from error
        if entry.manifest.size_bytes > part_bytes * _MAX_PARTS:
            raise ValueError("its payload has too many parts")
        return entry


def is_damaged(content: bytes) -> bool:
    """Whether bytes that are no entry are those of none at all; else they may be one of another version."""
    try:
        _check(content)
    except ValueError:
        return True
    return False


def _check(content: bytes) -> str:
    """The text of an object, without its checksum. Raises ValueError: it is damaged."""
    text = content.decode()
    if not has_checksum(text):
        raise ValueError("it has no checksum")
    return check_checksum(text)
