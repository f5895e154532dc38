"""What a remote store says of one artifact: its manifest and how it was made, in one object with a checksum."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from stages.keys import JsonValue
from stages.machine.json_files import parse_json
from stages.remote.layout import PART_BYTES
from stages.store.checksum import add_checksum, check_checksum, has_checksum
from stages.store.manifest import Manifest

_FIELDS = {"manifest", "run", "part_bytes"}


@dataclass(frozen=True)
class Entry:
    """An artifact of a remote store.

    Attributes:
        manifest: what it is.
        run: what run.json says of it.
        part_bytes: of each part of its payload but the last.
    """

    manifest: Manifest
    run: Mapping[str, JsonValue]
    part_bytes: int = PART_BYTES

    def to_bytes(self) -> bytes:
        """The object."""
        fields = {
            "manifest": json.loads(self.manifest.to_json()),
            "run": dict(self.run),
            "part_bytes": self.part_bytes,
        }
        return add_checksum(json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @staticmethod
    def from_bytes(content: bytes) -> "Entry":
        """The inverse of `to_bytes`, for bytes of which nothing is known. Raises ValueError: they are none."""
        text = content.decode()
        if not has_checksum(text):
            raise ValueError("it has no checksum")
        fields = parse_json(check_checksum(text))
        if not isinstance(fields, dict) or fields.keys() != _FIELDS or not isinstance(fields["run"], dict):
            raise ValueError("it has other fields")
        part_bytes = fields["part_bytes"]
        if type(part_bytes) is not int or part_bytes < 1:
            raise ValueError("its parts have no size")
        manifest = json.dumps(fields["manifest"], indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        return Entry(Manifest.from_json(manifest), fields["run"], part_bytes)
