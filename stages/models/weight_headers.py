"""What the headers of a component's weight files say, before anything is loaded. Loads nothing heavy.

Whether the names and shapes are those of the model, the stage finds out when it loads them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from stages.machine.binary_units import show_gib
from stages.machine.regular_files import reason_of
from stages.models.component_files import ComponentFiles
from stages.models.wording import COPY_AGAIN
from stages.tensors.header import explain_lfs_pointer, read_header

_FLOATS = ("F32", "F16", "BF16")
# Bytes of an entry, by the value of a parameter `dtype`.
DTYPE_BYTES: Mapping[str, int] = MappingProxyType({"bfloat16": 2, "float32": 4})
# The most bytes in memory that a byte of a file becomes: weights are of 2 bytes or 4.
MOST_GROWTH: Mapping[str, int] = MappingProxyType({"bfloat16": 1, "float32": 2})


@dataclass(frozen=True)
class WeightHeaders:
    """The headers of all weight files of a component.

    Attributes:
        files: of the component.
        shapes: of each tensor, by name.
        faults: a message for each file that is not whole, and for tensors that are no floating-point numbers.
    """

    files: ComponentFiles
    shapes: Mapping[str, tuple[int, ...]] = field(repr=False)
    faults: tuple[str, ...]

    def count_bytes(self, dtype: str, is_read: Callable[[str], bool] = lambda _name: True) -> int:
        """Bytes in memory, as "bfloat16" or "float32", of the tensors whose names are read."""
        return DTYPE_BYTES[dtype] * sum(math.prod(shape) for name, shape in self.shapes.items() if is_read(name))


def read_headers(files: ComponentFiles) -> WeightHeaders:
    """Read the headers of a component's weight files; no tensor is read."""
    entries: dict[str, Any] = {}
    faults = []
    for name in files.picked.weights:
        path = files.folder / name
        try:
            entries |= {tensor: (tuple(entry["shape"]), entry["dtype"]) for tensor, entry in read_header(path).items()}
        except (OSError, ValueError) as error:
            damaged = f"{path}: not a whole safetensors file ({reason_of(error)}). {COPY_AGAIN}"
            faults.append(explain_lfs_pointer(path) or damaged)
    others = sorted({dtype for _, dtype in entries.values()} - set(_FLOATS))
    if others:
        faults.append(
            f"{files.folder}: holds tensors of {', '.join(others)}, and weights must be {', '.join(_FLOATS)}. "
            "Quantised weights are not supported; name another checkpoint in params/model.toml."
        )
    return WeightHeaders(files, {name: shape for name, (shape, _) in entries.items()}, tuple(faults))


def explain_memory(
    num_bytes: int, memory_bytes: int, *, files: ComponentFiles, parameter: str, dtype: str
) -> list[str]:
    """A message when weights alone are larger than the memory that they would have to be in.

    Args:
        num_bytes: of the weights in memory.
        memory_bytes: of the machine or device.
        files: whose weights they are.
        parameter: that chooses the dtype, such as "denoise.dtype".
        dtype: its value.
    """
    if num_bytes <= memory_bytes:
        return []
    smaller = f' Set {parameter} = "bfloat16", which takes half of it.' if dtype == "float32" else ""
    return [
        f"{files.folder}: its weights take {show_gib(num_bytes)} in {dtype}, and this machine has "
        f"{show_gib(memory_bytes)} of memory.{smaller or ' Use a machine with more, or a smaller checkpoint.'}"
    ]
