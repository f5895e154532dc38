"""Tensors of artifacts: safetensors files, read and written without torch, and streamed where they are large.

Owns the bytes on disk; what a file must hold is declared in stages/pipeline/. Weights are read by weight_files.py.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from stages.errors import ContractError, StoreError
from stages.machine.regular_files import open_regular, reason_of, require_regular
from stages.tensors.dtypes import DTYPES, FLOATS, SAFETENSORS_NAMES, Array, Shape
from stages.tensors.header import LENGTH, parse_header

_NO_NUMPY_DTYPES = ("F4", "F6_", "F8_")  # prefixes of the dtypes that safetensors cannot return as numpy arrays
_HEADER_ALIGNMENT = 8
_MIN_DIMENSIONS = 2  # of a tensor that is written and read by rows: [1, T, ...]
_MAKE_AGAIN = "`doit forget` its stage, then `doit`, makes it again."


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write tensors so that equal tensors give equal bytes, whatever the order of the mapping.

    The library orders them by dtype and name, and there is no metadata. The file is assembled in memory.

    Raises:
        StoreError: the file cannot be written.
    """
    content = save({name: np.asarray(array, order="C") for name, array in tensors.items()})
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}). Check space and permissions.") from error


def read_tensors(path: Path) -> dict[str, Array]:
    """Read all tensors of a file into memory, by name.

    Raises:
        ContractError: it is not a safetensors file, or numpy has no dtype for one of its tensors.
    """
    try:
        require_regular(path)
        with safe_open(path, framework="numpy") as file:
            dtypes = {name: dtype for name, (_, dtype) in list_tensors(file).items()}
            refused = [f"{name} ({dtype})" for name, dtype in dtypes.items() if dtype.startswith(_NO_NUMPY_DTYPES)]
            if refused:
                raise ContractError(f"{path}: numpy has no dtype for {', '.join(refused)}. {_MAKE_AGAIN}")
            return {name: file.get_tensor(name) for name in dtypes}
    except (SafetensorError, OSError) as error:
        raise ContractError(f"{path}: not a readable safetensors file ({reason_of(error)}). {_MAKE_AGAIN}") from error


class TensorWriter:
    """Writes one tensor in pieces along its second axis, so that a video never has to be in memory as a whole.

    The result is a plain safetensors file with one entry and no metadata.
    """

    def __init__(self, path: Path, name: str, *, shape: tuple[int, ...], dtype: str) -> None:
        """Open the file and write its header; `shape` is that of the whole tensor, [1, T, ...]. Raises OSError."""
        self._dtype = DTYPES[dtype]
        self._row_shape = shape[2:]
        self._rows_left = shape[1]
        size_bytes = math.prod(shape) * self._dtype.itemsize
        entry = {"dtype": SAFETENSORS_NAMES[dtype], "shape": list(shape), "data_offsets": [0, size_bytes]}
        header = json.dumps({name: entry}, separators=(",", ":")).encode()
        header += b" " * (-len(header) % _HEADER_ALIGNMENT)
        self._file = path.open("wb")
        self._file.write(LENGTH.pack(len(header)) + header)

    def append(self, rows: Array) -> None:
        """Write `rows`, [n, ...], behind those written before; they are converted to the tensor's dtype."""
        if rows.shape[1:] != self._row_shape or rows.shape[0] > self._rows_left:
            raise ValueError(f"rows {rows.shape} do not fit: {self._rows_left} of {self._row_shape} are left")
        self._rows_left -= rows.shape[0]
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).tobytes())

    def __enter__(self) -> "TensorWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if error is None and self._rows_left:
            raise ValueError(f"{self._rows_left} rows were never written")


class TensorReader:
    """Reads one tensor, [1, T, ...], by rows along its second axis: the counterpart of TensorWriter.

    The file is open from construction until the `with` block ends. It is read plainly, not through a memory map, whose
    pages would stay resident until a long video filled the memory.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Find the tensor. Raises ContractError when the file is damaged or does not hold it."""
        self._path, self._name = path, name
        with ExitStack() as closed_on_error:
            try:
                self._file = closed_on_error.enter_context(open_regular(path))
                self._dtype, self.shape, self._start = _locate(self._file, name)
            except (OSError, ValueError) as error:
                raise ContractError(
                    f"{path}: cannot read tensor `{name}` ({reason_of(error)}). {_MAKE_AGAIN}"
                ) from error
            closed_on_error.pop_all()

    def __enter__(self) -> "TensorReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Array]:
        """Yield arrays of shape `shape[2:]`, one after another. Raises ContractError when the file ends too early."""
        row_shape = self.shape[2:]
        size_bytes = math.prod(row_shape) * self._dtype.itemsize
        self._file.seek(self._start)
        for row in range(self.shape[1]):
            content = self._file.read(size_bytes)
            if len(content) < size_bytes:
                raise ContractError(
                    f"{self._path}: ends in row {row} of the {self.shape[1]} rows of tensor `{self._name}`, "
                    f"{list(self.shape)} {self._dtype}. {_MAKE_AGAIN}"
                )
            yield np.frombuffer(content, self._dtype).reshape(row_shape)


def _locate(file: BinaryIO, name: str) -> tuple[np.dtype[Any], Shape, int]:
    """Find dtype, shape and first byte of a tensor [1, T, ...]. Raises ValueError with the fault."""
    try:
        entry = parse_header(file)[name]
    except ValueError as error:
        raise ValueError(f"it is not a whole safetensors file: {error}") from error
    except KeyError as error:
        raise ValueError("there is no such tensor") from error
    short, shape = entry["dtype"], tuple(entry["shape"])
    dtype = next((DTYPES[long] for long, known in SAFETENSORS_NAMES.items() if known == short), None)
    if dtype is None:
        raise ValueError(f"its dtype is {short}, not {FLOATS}")
    if len(shape) < _MIN_DIMENSIONS or shape[0] != 1:
        raise ValueError(f"its shape is {list(shape)}, not [1, rows, ...]")
    return dtype, shape, file.tell() + int(entry["data_offsets"][0])


def list_tensors(file: safe_open) -> dict[str, tuple[Shape, str]]:
    """Shape and safetensors dtype of each tensor, from the header of an open file."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    return {name: (tuple(found.get_shape()), str(found.get_dtype())) for name, found in slices.items()}
