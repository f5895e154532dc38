"""The header of a safetensors file, and the few values that are read without the library, which would load numpy."""

import json
import math
import os
import struct
from pathlib import Path
from typing import Any, Final

# What `read_header` raises of a file that is not a whole safetensors file.
NOT_WHOLE: Final = (ValueError, KeyError, TypeError, AttributeError, struct.error)
_LENGTH = struct.Struct("<Q")  # the first bytes of the file


def read_header(path: Path) -> dict[str, Any]:
    """Read the entry of each tensor: `dtype`, `shape` and `data_offsets`.

    Raises:
        OSError: the file cannot be read.
        NOT_WHOLE: it is not a whole safetensors file.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        entries: dict[str, Any] = json.loads(file.read(min(length, size_bytes)))
    entries.pop("__metadata__", None)
    end = _LENGTH.size + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if end != size_bytes:
        raise ValueError(f"it has {size_bytes} bytes, its header says {end}")
    return entries


def count_nonzero(path: Path, name: str) -> int:
    """Count the entries of a tensor that are not 0; for small tensors. A floating-point -0 counts, too.

    Raises:
        OSError, ValueError, struct.error, KeyError: as `read_header`.
    """
    entry = read_header(path)[name]
    start, end = entry["data_offsets"]
    with path.open("rb") as file:
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        file.seek(length + start, os.SEEK_CUR)
        content = file.read(end - start)
    item_size = max(len(content) // max(math.prod(entry["shape"]), 1), 1)
    return sum(any(content[index : index + item_size]) for index in range(0, len(content), item_size))
