"""The header of a safetensors file, and the few values that are read without the library, which would load numpy.

A header is checked as the library does it before anything is believed of it: a size in it may be any number.
"""

import math
import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final

from stages.machine.json_files import parse_json
from stages.machine.regular_files import open_regular

LENGTH: Final = struct.Struct("<Q")  # the first bytes of the file: the bytes of its header
_LFS_POINTER = b"version https://git-lfs"
_MAX_HEADER_BYTES = 100_000_000  # the library's own limit
_FIELDS: Final = frozenset({"dtype", "shape", "data_offsets"})
_ITEM_BITS: Final[Mapping[str, int]] = MappingProxyType({
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
})  # fmt: skip


def read_header(path: Path) -> dict[str, Any]:
    """Read the entry of each tensor: `dtype`, `shape` and `data_offsets`.

    Raises:
        OSError: the file cannot be read, or is no regular file.
        ValueError: it is not a whole safetensors file.
    """
    with open_regular(path) as file:
        return parse_header(file)


def parse_header(file: BinaryIO) -> dict[str, Any]:
    """As `read_header`, of a file that is open at its begin; afterwards it is open at its first tensor."""
    size_bytes = os.fstat(file.fileno()).st_size
    start = file.read(LENGTH.size)
    if len(start) < LENGTH.size:
        raise ValueError(f"it has {size_bytes} bytes, which is no header")
    (length,) = LENGTH.unpack(start)
    if length > min(size_bytes - LENGTH.size, _MAX_HEADER_BYTES):
        raise ValueError(f"it has {size_bytes} bytes, and its header would have {length}")
    entries = parse_json(file.read(length).decode())
    if not isinstance(entries, dict):
        raise ValueError("its header is no JSON object")
    entries.pop("__metadata__", None)
    end = LENGTH.size + length + _check_entries(entries)
    if end != size_bytes:
        raise ValueError(f"it has {size_bytes} bytes, its header says {end}")
    return entries


def explain_lfs_pointer(path: Path) -> str | None:
    """What to say of a file that Git LFS has put in the place of weights; None of any other."""
    with suppress(OSError), open_regular(path) as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            return f"{path}: only names the file, as Git LFS does. Run `git lfs pull` in its repository."
    return None


def count_nonzero(path: Path, name: str) -> int:
    """Count the entries of a tensor that are not 0; for small tensors. A floating-point -0 counts, too.

    Raises:
        OSError, ValueError: as `read_header`.
        KeyError: there is no such tensor.
    """
    with open_regular(path) as file:
        entry = parse_header(file)[name]
        start, end = entry["data_offsets"]
        file.seek(start, os.SEEK_CUR)
        content = file.read(end - start)
    item_size = max(len(content) // max(math.prod(entry["shape"]), 1), 1)
    return sum(any(content[index : index + item_size]) for index in range(0, len(content), item_size))


def _check_entries(entries: Mapping[str, Any]) -> int:
    """The end of the last tensor, in bytes after the header. Raises ValueError unless one follows the other."""
    end = 0
    for name, entry in entries.items():
        if not _has_form(entry):
            raise ValueError(f"the entry of {name[:80]!r} is not dtype, shape and two offsets")
    for name, entry in sorted(entries.items(), key=lambda item: tuple(item[1]["data_offsets"])):
        start, stop = entry["data_offsets"]
        if start != end:
            raise ValueError(f"the tensor {name[:80]!r} begins at {start}, and the one before it ends at {end}")
        bits = _ITEM_BITS.get(entry["dtype"])
        if bits is not None and not _has_size(entry["shape"], (stop - start) * 8, bits):
            raise ValueError(f"the tensor {name[:80]!r} of {entry['dtype']} does not have {stop - start} bytes")
        end = stop
    return end


def _has_form(entry: Any) -> bool:
    if not isinstance(entry, dict) or entry.keys() != _FIELDS or not isinstance(entry["dtype"], str):
        return False
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not (isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2):
        return False
    return (
        all(type(number) is int and 0 <= number < 2**64 for number in (*shape, *offsets)) and offsets[0] <= offsets[1]
    )


def _has_size(shape: Sequence[int], size_bits: int, item_bits: int) -> bool:
    """Whether a tensor has this size; sizes whose product would fill the memory are not multiplied."""
    if 0 in shape:
        return size_bits == 0
    product = item_bits
    for size in shape:
        product *= size
        if product > size_bits:
            return False
    return product == size_bits
