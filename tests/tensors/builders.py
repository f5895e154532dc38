"""Tensor files with any header."""

import json
import struct
from pathlib import Path


def write_raw(path: Path, entries: dict[str, object], num_bytes: int) -> None:
    """A safetensors file with a header of one's own and zeros behind it."""
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(num_bytes))
