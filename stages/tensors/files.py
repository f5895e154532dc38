"""Tensor files: safetensors read and written without torch, streamed where they are large.

Owns the bytes on disk and the dtype names; what a file must hold is said in contracts.py.
"""

import json
import math
import os
import struct
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from stages.errors import CheckpointError, ContractError, StoreError

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

DTYPES: Mapping[str, np.dtype[Any]] = {
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
}
_SAFETENSORS_NAMES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
_FLOATS = "F32, F16 or BF16"
_NO_NUMPY_DTYPES = ("F4", "F6_", "F8_")  # beginnings of the dtypes that safetensors cannot give as numpy arrays
_LENGTH_PREFIX = struct.Struct("<Q")  # safetensors: header length, unsigned 64 bit, little endian
_HEADER_ALIGNMENT = 8
_MIN_DIMENSIONS = 2  # of a tensor that is written and read row by row: [1, T, ...]
_WEIGHT_NAMES = ("diffusion_pytorch_model", "model")  # of diffusers' and of transformers' components
_MAKE_AGAIN = "`doit forget` its stage, then `doit`, makes it again."
_COPY_AGAIN = "Download or copy it again."


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write tensors so that equal tensors give equal bytes, in whatever order they come.

    The library orders them by dtype and name, and there is no metadata. The file is put together in memory.

    Raises:
        StoreError: the file cannot be written.
    """
    content = save({name: np.asarray(array, order="C") for name, array in tensors.items()})
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}). Check space and permissions.") from error


def read_tensors(path: Path) -> dict[str, Array]:
    """Read a whole file.

    Raises:
        ContractError: it is not a safetensors file, or numpy has no dtype for one of its tensors.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            dtypes = {name: dtype for name, (_, dtype) in _list_tensors(file).items()}
            refused = [f"{name} ({dtype})" for name, dtype in dtypes.items() if dtype.startswith(_NO_NUMPY_DTYPES)]
            if refused:
                raise ContractError(f"{path}: numpy has no dtype for {', '.join(refused)}. {_MAKE_AGAIN}")
            return {name: file.get_tensor(name) for name in dtypes}
    except (SafetensorError, OSError) as error:
        raise ContractError(f"{path}: not a readable safetensors file ({error}). {_MAKE_AGAIN}") from error


def name_dtypes(tensors: Mapping[str, Array]) -> dict[str, str]:
    """The dtype of each tensor as the header of a file names it ("F32"), or as NumPy does where no stage writes it."""
    return {name: _SAFETENSORS_NAMES.get(array.dtype.name, array.dtype.name) for name, array in tensors.items()}


class TensorWriter:
    """Writes one tensor piece by piece along its second axis, so that a video never has to be in memory.

    The file is a plain safetensors file with one entry and no metadata.
    """

    def __init__(self, path: Path, name: str, *, shape: tuple[int, ...], dtype: str) -> None:
        """Open the file and write its header; `shape` is [1, T, ...] of the whole tensor."""
        self._dtype = DTYPES[dtype]
        self._row_shape = shape[2:]
        self._rows_left = shape[1]
        size_bytes = math.prod(shape) * self._dtype.itemsize
        entry = {"dtype": _SAFETENSORS_NAMES[dtype], "shape": list(shape), "data_offsets": [0, size_bytes]}
        header = json.dumps({name: entry}, separators=(",", ":")).encode()
        header += b" " * (-len(header) % _HEADER_ALIGNMENT)
        self._file = path.open("wb")
        self._file.write(_LENGTH_PREFIX.pack(len(header)) + header)

    def append(self, rows: Array) -> None:
        """Write `rows`, [n, ...], after those written before."""
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
    """Reads one tensor, [1, T, ...], row by row along its second axis: the half of TensorWriter that reads.

    A context manager, open as soon as it is made. Plain reads, not a memory map: pages of a map stay resident, so
    that a long video would end up in memory.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Find the tensor. Raises ContractError when the file is damaged or does not hold it."""
        self._path, self._name = path, name
        with ExitStack() as closed_on_error:
            try:
                self._file = closed_on_error.enter_context(path.open("rb"))
                self._dtype, self.shape, self._start = _locate(self._file, name)
            except (OSError, ValueError) as error:
                raise ContractError(f"{path}: cannot read tensor `{name}` ({error}). {_MAKE_AGAIN}") from error
            closed_on_error.pop_all()

    def __enter__(self) -> "TensorReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Array]:
        """Arrays of shape `shape[2:]`, one after another. Raises ContractError when the file ends before they do."""
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


class WeightFiles:
    """The tensors of a checkpoint component, in one safetensors file or in shards with an index.

    Tensors are read one at a time from a memory map; nothing is kept.
    """

    def __init__(self, folder: Path) -> None:
        """Find the tensors of a component folder by the headers of its files; no tensor is read.

        Raises:
            CheckpointError: there is no file, one is damaged, shards and index disagree, or a tensor is neither
                F32, F16 nor BF16.
        """
        self.folder = folder
        self._places: dict[str, Path] = {}
        self._shapes: dict[str, Shape] = {}
        dtypes: dict[str, str] = {}
        for path, wanted in _weight_paths(folder).items():
            with _open_weights(path) as file:
                found = _list_tensors(file)
            if wanted is not None:
                _check_shard(path, found.keys(), wanted)
            for name, (shape, dtype) in found.items():
                self._places[name], self._shapes[name], dtypes[name] = path, shape, dtype
        _check_weight_dtypes(folder, dtypes)

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of each tensor by name."""
        return self._shapes

    def read(self, name: str, index: tuple[slice, ...] | None = None) -> Array:
        """One tensor in its stored dtype, or the part `index` of it, a slice per axis; no more is read from the file.

        Raises:
            CheckpointError: its file can no longer be read.
        """
        with _open_weights(self._places[name]) as file:
            return np.asarray(file.get_tensor(name) if index is None else file.get_slice(name)[index])


def _locate(file: BinaryIO, name: str) -> tuple[np.dtype[Any], Shape, int]:
    """Dtype, shape and first byte of a tensor [1, T, ...]. Raises ValueError with what is wrong."""
    file_bytes = os.fstat(file.fileno()).st_size
    try:
        (length,) = _LENGTH_PREFIX.unpack(file.read(_LENGTH_PREFIX.size))
        entry = json.loads(file.read(min(length, file_bytes)))[name]
        short, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if not all(isinstance(number, int) and number >= 0 for number in (*shape, start, end)):
            raise TypeError("a size is no number")
    except (struct.error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError("there is no such tensor, or the header is damaged") from error
    dtype = next((DTYPES[long] for long, known in _SAFETENSORS_NAMES.items() if known == short), None)
    if dtype is None:
        raise ValueError(f"its dtype is {short}, not {_FLOATS}")
    if len(shape) < _MIN_DIMENSIONS or shape[0] != 1:
        raise ValueError(f"its shape is {list(shape)}, not [1, rows, ...]")
    start += _LENGTH_PREFIX.size + length
    if start + math.prod(shape) * dtype.itemsize > file_bytes:
        raise ValueError("the file is cut short")
    return dtype, shape, start


def _list_tensors(file: safe_open) -> dict[str, tuple[Shape, str]]:
    """Shape and dtype of each tensor, by the file's header."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    return {name: (tuple(found.get_shape()), str(found.get_dtype())) for name, found in slices.items()}


@contextmanager
def _open_weights(path: Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}). {_COPY_AGAIN}") from error


def _weight_paths(folder: Path) -> Mapping[Path, Set[str] | None]:
    """The files of a component, each with the tensors that an index says it holds, or None without an index."""
    for stem in _WEIGHT_NAMES:
        index = folder / f"{stem}.safetensors.index.json"
        single = folder / f"{stem}.safetensors"
        if index.is_file():
            return {_existing(folder, shard): names for shard, names in sorted(_read_index(index).items())}
        if single.is_file():
            return {single: None}
    wanted = " or ".join(f"{stem}.safetensors" for stem in _WEIGHT_NAMES)
    raise CheckpointError(f"{folder}: holds no {wanted}. The checkpoint is incomplete; download or copy it again.")


def _read_index(path: Path) -> Mapping[str, Set[str]]:
    """The names of the tensors of each shard."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a readable weight index ({error}). {_COPY_AGAIN}") from error
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not (isinstance(weight_map, dict) and weight_map and all(isinstance(v, str) for v in weight_map.values())):
        raise CheckpointError(f"{path}: its `weight_map` must name a file for each tensor. {_COPY_AGAIN}")
    shards: dict[str, set[str]] = {}
    for name, shard in weight_map.items():
        shards.setdefault(shard, set()).add(name)
    return shards


def _existing(folder: Path, shard: str) -> Path:
    path = folder / shard
    if path.parent != folder:
        raise CheckpointError(f"{folder}: its weight index names {shard!r}, outside the folder. {_COPY_AGAIN}")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, but the weight index names it. {_COPY_AGAIN}")
    return path


def _check_shard(path: Path, found: Set[str], wanted: Set[str]) -> None:
    """A shard holds what the index says and nothing else; so no tensor is in two shards."""
    faults = [f"{name} is missing" for name in sorted(wanted - found)]
    faults += [f"{name} is spare" for name in sorted(found - wanted)]
    if faults:
        raise CheckpointError(f"{path}: not what the weight index says: {', '.join(faults)}. {_COPY_AGAIN}")


def _check_weight_dtypes(folder: Path, dtypes: Mapping[str, str]) -> None:
    known = _SAFETENSORS_NAMES.values()
    refused = [f"{name} is {dtype}" for name, dtype in sorted(dtypes.items()) if dtype not in known]
    if refused:
        raise CheckpointError(
            f"{folder}: weights must be {_FLOATS}, but {', '.join(refused)}. "
            "Quantised weights are not supported; name another checkpoint in params/model.toml."
        )
