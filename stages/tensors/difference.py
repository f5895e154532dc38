"""How far the tensors of two files are from each other: `python -m stages.tensors.difference ONE OTHER` prints JSON.

A process of its own, because what asks for it (stages/run/rebuild.py) loads no NumPy.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.tensors.dtypes import DTYPES, FLOATS, SAFETENSORS_NAMES, Array
from stages.tensors.header import read_header

_VALUES_AT_ONCE = 1 << 22  # in float64 32 MiB
_DTYPES = {short: DTYPES[long] for long, short in SAFETENSORS_NAMES.items()}


@dataclass(frozen=True)
class Difference:
    """How far values are from others.

    Attributes:
        num_values: of each.
        num_unequal: pairs of values that are not the same; a NaN equals a NaN.
        max_abs: the largest absolute difference, in the values' unit; infinite where one of a pair is no number.
        psnr_db: 10 log10(range^2 / mean squared difference); infinite where all are equal. The range is that of the
            first's values, its largest less its smallest.
    """

    num_values: int
    num_unequal: int
    max_abs: float
    psnr_db: float


def measure(pairs: Iterable[tuple[Array, Array]], value_range: float | None = None) -> Difference:
    """Compare arrays pair by pair, so that not all of them have to be in memory.

    Args:
        pairs: of equal shape, any real dtype.
        value_range: for the PSNR; None for that of the first's values.
    """
    num_values = num_unequal = 0
    max_abs = squares = 0.0
    low, high = math.inf, -math.inf
    for one, other in pairs:
        first, second = one.astype(np.float64), other.astype(np.float64)
        is_equal = (first == second) | (np.isnan(first) & np.isnan(second))
        distance = np.abs(np.subtract(first, second, where=~is_equal, out=np.zeros_like(first)))
        distance[np.isnan(distance)] = math.inf
        num_values += first.size
        num_unequal += int(first.size - is_equal.sum())
        max_abs = max(max_abs, float(distance.max(initial=0.0)))
        squares += float(np.square(distance).sum())
        finite = first[np.isfinite(first)]
        low, high = min(low, float(finite.min(initial=low))), max(high, float(finite.max(initial=high)))
    if value_range is None:
        value_range = max(high - low, 0.0)
    return Difference(num_values, num_unequal, max_abs, _psnr_db(value_range, squares, num_values))


def _psnr_db(value_range: float, squares: float, num_values: int) -> float:
    if squares == 0:
        return math.inf
    if not math.isfinite(squares) or value_range == 0:
        return -math.inf
    return 10 * math.log10(value_range**2 * num_values / squares)


Found: TypeAlias = dict[str, Difference | str]


def measure_files(one: Path, other: Path) -> Found:
    """The difference of each tensor of two safetensors files, by name, or why there is none, in words.

    Raises:
        OSError, ValueError: one is no safetensors file that can be read.
    """
    files = _TensorFile.open(one), _TensorFile.open(other)
    names = dict.fromkeys([*files[0].entries, *files[1].entries])
    return {name: _measure_tensor(name, *files) for name in names}


@dataclass(frozen=True)
class _TensorFile:
    """A safetensors file: its tensors' entries, and where in it the data begins."""

    path: Path
    entries: dict[str, Any]
    start: int

    @staticmethod
    def open(path: Path) -> "_TensorFile":
        entries = read_header(path)
        data_bytes = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        return _TensorFile(path, entries, path.stat().st_size - data_bytes)

    def read(self, name: str) -> Iterator[NDArray[Any]]:
        """The values of a tensor, some at a time."""
        entry = self.entries[name]
        dtype, (start, end) = _DTYPES[entry["dtype"]], entry["data_offsets"]
        step = _VALUES_AT_ONCE * dtype.itemsize
        with self.path.open("rb") as file:
            file.seek(self.start + start)
            for first in range(start, end, step):
                yield np.frombuffer(file.read(min(step, end - first)), dtype)


def _measure_tensor(name: str, first: _TensorFile, second: _TensorFile) -> Difference | str:
    one, other = first.entries.get(name), second.entries.get(name)
    if one is None or other is None:
        return f"only in the {'second' if one is None else 'first'}"
    if one["shape"] != other["shape"]:
        return f"{one['dtype']} {one['shape']} and {other['dtype']} {other['shape']}"
    for dtype in (one["dtype"], other["dtype"]):
        if dtype not in _DTYPES:
            return f"not measured: its dtype is {dtype}, not {FLOATS}"
    return measure(zip(first.read(name), second.read(name), strict=True))


def print_found(found: Found) -> None:
    """Print differences as JSON, by name."""
    print(json.dumps({name: each if isinstance(each, str) else asdict(each) for name, each in found.items()}))


if __name__ == "__main__":
    try:
        print_found(measure_files(Path(sys.argv[1]), Path(sys.argv[2])))
    except (OSError, ValueError) as error:
        sys.exit(f"no safetensors file that can be read ({error})")
