"""The weights of a checkpoint component: one safetensors file, or shards with an index.

Owns which files these are and whether they are whole; models/weights.py compares their names and shapes with a model's.
"""

import json
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from stages.errors import CheckpointError
from stages.tensors.dtypes import FLOATS, SAFETENSORS_NAMES, Array, Shape
from stages.tensors.files import list_tensors

_NAMES = ("diffusion_pytorch_model", "model")  # of diffusers' and of transformers' components
_COPY_AGAIN = "Download or copy it again."


class WeightFiles:
    """The tensors of a checkpoint component, by name.

    They are read one at a time, through a memory map, and nothing is kept.
    """

    def __init__(self, folder: Path) -> None:
        """Find the tensors of a component folder from the headers of its files; no tensor is read.

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
                found = list_tensors(file)
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
        """Read one tensor in its stored dtype, or the part `index` of it (a slice per axis) and nothing else.

        Raises:
            CheckpointError: its file can no longer be read.
        """
        with _open_weights(self._places[name]) as file:
            return np.asarray(file.get_tensor(name) if index is None else file.get_slice(name)[index])


@contextmanager
def _open_weights(path: Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}). {_COPY_AGAIN}") from error


def _weight_paths(folder: Path) -> Mapping[Path, Set[str] | None]:
    """The files of a component, each with the names of the tensors that the index gives it; None without an index."""
    for stem in _NAMES:
        index = folder / f"{stem}.safetensors.index.json"
        single = folder / f"{stem}.safetensors"
        if index.is_file():
            return {_existing(folder, shard): names for shard, names in sorted(_read_index(index).items())}
        if single.is_file():
            return {single: None}
    wanted = " or ".join(f"{stem}.safetensors" for stem in _NAMES)
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
