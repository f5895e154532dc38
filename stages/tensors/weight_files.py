"""The weights of a checkpoint component: one safetensors file, or shards with an index.

Owns whether they are whole. Which files these are is decided in models/component_files.py; models/weights.py compares
their names and shapes with a model's.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from stages.errors import CheckpointError
from stages.machine.regular_files import reason_of, require_regular
from stages.tensors.dtypes import FLOATS, SAFETENSORS_NAMES, Array, Shape
from stages.tensors.files import list_tensors
from stages.tensors.header import explain_lfs_pointer

_COPY_AGAIN = "Download or copy it again."


class WeightFiles:
    """The tensors of a checkpoint component, by name.

    They are read one at a time, through a memory map, and nothing is kept.
    """

    def __init__(self, folder: Path, wanted: Mapping[str, Set[str] | None]) -> None:
        """Find the tensors of a component from the headers of its files; no tensor is read.

        Args:
            folder: of the component.
            wanted: the files in it, each with the names of the tensors that the index gives it; None without an index.
        Raises:
            CheckpointError: a file is damaged, shards and index disagree, or a tensor is neither F32, F16 nor BF16.
        """
        self.folder = folder
        self._places: dict[str, Path] = {}
        self._shapes: dict[str, Shape] = {}
        dtypes: dict[str, str] = {}
        for file_name, names in sorted(wanted.items()):
            path = folder / file_name
            with _open_weights(path) as file:
                found = list_tensors(file)
            if names is not None:
                _check_shard(path, found.keys(), names)
            for name, (shape, dtype) in found.items():
                self._places[name], self._shapes[name], dtypes[name] = path, shape, dtype
        _check_weight_dtypes(folder, dtypes)

    @property
    def paths(self) -> Mapping[str, Path]:
        """The file of each tensor by name."""
        return self._places

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of each tensor by name."""
        return self._shapes

    def read(self, name: str, index: tuple[slice, ...] | None = None) -> Array:
        """Read one tensor in its stored dtype, or the part `index` of it (a slice per axis) and nothing else.

        Raises:
            CheckpointError: its file can no longer be read.
        """
        with _open_weights(self._places[name]) as file:
            return np.asarray(file.get_tensor(name) if index is None else file.get_slice(name)[index])

    def read_all(self, names: Iterable[str]) -> dict[str, Array]:
        """Small tensors by name, in their stored dtypes; each file is opened once.

        Raises:
            CheckpointError: a file can no longer be read.
        """
        by_path: dict[Path, list[str]] = {}
        for name in names:
            by_path.setdefault(self._places[name], []).append(name)
        found: dict[str, Array] = {}
        for path, own in by_path.items():
            with _open_weights(path) as file:
                found |= {name: np.asarray(file.get_tensor(name)) for name in own}
        return found


@contextmanager
def _open_weights(path: Path) -> Iterator[safe_open]:
    try:
        require_regular(path)
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError) as error:
        if pointer := explain_lfs_pointer(path):
            raise CheckpointError(pointer) from error
        raise CheckpointError(f"{path}: not a readable safetensors file ({reason_of(error)}). {_COPY_AGAIN}") from error


def _check_shard(path: Path, found: Set[str], wanted: Set[str]) -> None:
    """Raise CheckpointError unless a shard holds what the index says and nothing else; so none is in two shards."""
    faults = [f"{name} is missing" for name in sorted(wanted - found)]
    faults += [f"{name} is spare" for name in sorted(found - wanted)]
    if faults:
        raise CheckpointError(f"{path}: not what the weight index says: {', '.join(faults)}. {_COPY_AGAIN}")


def _check_weight_dtypes(folder: Path, dtypes: Mapping[str, str]) -> None:
    known = SAFETENSORS_NAMES.values()
    refused = [f"{name} is {dtype}" for name, dtype in sorted(dtypes.items()) if dtype not in known]
    if refused:
        raise CheckpointError(
            f"{folder}: weights must be {FLOATS}, but {', '.join(refused)}. "
            "Quantised weights are not supported; name another checkpoint in params/model.toml."
        )
