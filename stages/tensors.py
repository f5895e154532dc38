"""Tensor files: safetensors read and written without torch, streamed where they are large.

Owns the bytes on disk and the dtype names; what a file must hold is said in contracts.py.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stages.errors import CheckpointError, ContractError, StoreError

Array: TypeAlias = NDArray[Any]

DTYPES: Mapping[str, np.dtype[Any]] = {
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
}
_SAFETENSORS_NAMES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
_LENGTH_PREFIX = struct.Struct("<Q")  # safetensors: header length, unsigned 64 bit, little endian
_HEADER_ALIGNMENT = 8
_WEIGHT_NAMES = ("diffusion_pytorch_model", "model")  # of diffusers' and of transformers' components


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write tensors so that equal tensors give equal bytes (sorted names, no metadata).

    Raises:
        StoreError: the file cannot be written.
    """
    contiguous = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    try:
        save_file(contiguous, path)
    except SafetensorError as error:
        raise StoreError(f"{path}: cannot be written ({error}). Check space and permissions.") from error


def read_tensors(path: Path) -> dict[str, Array]:
    """Read a whole file. Raises ContractError when it is not a safetensors file."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise ContractError(f"{path}: not a readable safetensors file ({error}).") from error


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
    """Reads one tensor of a file row by row along its second axis: the half of TensorWriter that reads.

    Plain reads, not a memory map: pages of a map stay resident, so that a long video would end up in memory.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Find the tensor. Raises ContractError when the file is damaged or does not hold it."""
        self._path = path
        try:
            with safe_open(path, framework="numpy"), path.open("rb") as file:  # the library checks every size first
                (length,) = _LENGTH_PREFIX.unpack(file.read(_LENGTH_PREFIX.size))
                entry = json.loads(file.read(length))[name]
            self._dtype = next(DTYPES[key] for key, short in _SAFETENSORS_NAMES.items() if short == entry["dtype"])
        except (SafetensorError, OSError, KeyError, StopIteration) as error:
            raise ContractError(f"{path}: cannot read tensor `{name}` ({error!r}).") from error
        self._start: int = _LENGTH_PREFIX.size + length + entry["data_offsets"][0]
        self.shape: tuple[int, ...] = tuple(entry["shape"])

    def __iter__(self) -> Iterator[Array]:
        """Arrays of shape `shape[2:]`, one after another."""
        row_shape = self.shape[2:]
        size_bytes = math.prod(row_shape) * self._dtype.itemsize
        with self._path.open("rb") as file:
            file.seek(self._start)
            for _ in range(self.shape[1]):
                yield np.frombuffer(file.read(size_bytes), self._dtype).reshape(row_shape)


class WeightFiles:
    """The tensors of a checkpoint component, in one safetensors file or in shards with an index.

    Tensors are read one at a time from a memory map; nothing is kept.
    """

    def __init__(self, folder: Path) -> None:
        """Find the files of a component folder. Raises CheckpointError when there is none, or one is damaged."""
        self.folder = folder
        self._places: dict[str, Path] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for path in _weight_paths(folder):
            try:
                with safe_open(path, framework="numpy") as file:
                    for name in file.keys():  # noqa: SIM118 (not a mapping)
                        self._places[name] = path
                        self._shapes[name] = tuple(file.get_slice(name).get_shape())
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    f"{path}: not a readable safetensors file ({error}). Download or copy it again."
                ) from error

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each tensor by name."""
        return self._shapes

    def read(self, name: str) -> Array:
        """One tensor in its stored dtype."""
        with safe_open(self._places[name], framework="numpy") as file:
            return np.asarray(file.get_tensor(name))

    def read_all(self) -> Iterator[tuple[str, Array]]:
        """All tensors, file by file, each once."""
        for path in dict.fromkeys(self._places.values()):
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 (not a mapping)
                    yield name, file.get_tensor(name)


def _weight_paths(folder: Path) -> list[Path]:
    for stem in _WEIGHT_NAMES:
        index = folder / f"{stem}.safetensors.index.json"
        single = folder / f"{stem}.safetensors"
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            return [_existing(folder, shard) for shard in shards]
        if single.is_file():
            return [single]
    wanted = " or ".join(f"{stem}.safetensors" for stem in _WEIGHT_NAMES)
    raise CheckpointError(f"{folder}: holds no {wanted}. The checkpoint is incomplete; download or copy it again.")


def _existing(folder: Path, shard: str) -> Path:
    path = folder / shard
    if path.parent != folder:
        raise CheckpointError(f"{folder}: its weight index names {shard!r}, outside the folder.")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, but the weight index names it. Download or copy it again.")
    return path
