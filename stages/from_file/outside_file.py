"""Tensor files that other tools wrote, and what their tensors stand for.

Owns what is understood of such files beyond the tensors: the metadata entry `dtype_info`, by which the reference
scripts say that float32 on disk was bfloat16 in memory. What a file must hold is said in contracts.py. Source:
`utils.py` of the reference scripts (github.com/yangwhale/gpu-tpu-pedia, tpu/HunyuanVideo-1.5, staged variants).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from stages.errors import ContractError
from stages.keys import FROM_FILE, Digest
from stages.machine.json_files import parse_json
from stages.machine.regular_files import digest_file, reason_of, require_regular
from stages.pipeline.contract import Contract, check_shapes
from stages.tensors.dtypes import DTYPES, Array

_DTYPE_INFO = "dtype_info"
_MAX_VALUE = 1e9  # far above any; the square of what a model makes of it is finite in float32 and bfloat16
_BFLOAT16_NAMES = ("bfloat16", "torch.bfloat16")  # the scripts write the one for embeddings, the other for latents


@dataclass(frozen=True)
class OutsideFile:
    """What a file holds.

    Attributes:
        tensors: by name, as they are stored: float32 or bfloat16.
        dtype_info: of some tensors, the dtype that they had before they were stored, as the file names it.
    """

    tensors: Mapping[str, Array]
    dtype_info: Mapping[str, str]


def read_outside_file(path: Path, contract: Contract, *, stage: str, digest: Digest) -> OutsideFile:
    """Read a file whole, if its header says that it holds what the contract wants.

    Nothing is streamed: embeddings have 32 MB, latents of 241 frames of 720p 28 MB; a file of another kind, however
    large, is refused by its header.

    Args:
        path: the file.
        contract: of what it is to hold.
        stage: the one whose result it takes the place of, for messages.
        digest: XXH3-128 that its content had when the node was named.
    Raises:
        ContractError: it is no safetensors file, does not hold what the contract says, its `dtype_info` cannot be
            read, or its content is another one now.
    """
    advice = f"Name another file in {stage}.{FROM_FILE}, or convert this one."
    try:
        require_regular(path)
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            shapes = {name: tuple(found.get_shape()) for name, found in slices.items()}
            dtypes = {name: str(found.get_dtype()) for name, found in slices.items()}
            check_shapes(contract, shapes, where=str(path), dtypes=dtypes)
            tensors = {name: file.get_tensor(name) for name in slices}
            dtype_info = _parse_dtype_info((file.metadata() or {}).get(_DTYPE_INFO, "{}"), path)
    except ContractError as error:
        raise ContractError(f"{error} {advice}") from error
    except (SafetensorError, OSError) as error:
        raise ContractError(f"{path}: not a readable safetensors file ({reason_of(error)}). {advice}") from error
    if digest_file(path) != digest:
        raise ContractError(f"{path}: has changed since `doit` looked at it. Run `doit` again.")
    return OutsideFile(tensors, dtype_info)


def restore_bfloat16(file: OutsideFile) -> dict[str, Array]:
    """The tensors by name; float32 that stands for bfloat16 is bfloat16 again, rounded where it has to be."""
    with np.errstate(over="ignore"):  # what becomes infinite is refused by `refuse_non_finite`
        return {
            name: array.astype(DTYPES["bfloat16"]) if file.dtype_info.get(name) in _BFLOAT16_NAMES else array
            for name, array in file.tensors.items()
        }


def describe_rounding(file: OutsideFile, restored: Mapping[str, Array]) -> list[str]:
    """A sentence for each tensor of which `restore_bfloat16` has changed values. All must be finite."""
    changed = {name: np.count_nonzero(array != restored[name]) for name, array in file.tensors.items()}
    return [
        f"{num_changed} of {restored[name].size} values of `{name}` are no bfloat16 numbers, though its "
        f"`{_DTYPE_INFO}` says so. They were rounded; without that entry they stay float32."
        for name, num_changed in changed.items()
        if num_changed
    ]


def refuse_non_finite(tensors: Mapping[str, Array], *, where: Path) -> None:
    """Raise ContractError when a value is NaN, infinite or far from any that a model makes; lists the tensors."""
    bad = {name: np.count_nonzero(~np.isfinite(array)) for name, array in tensors.items()}
    faults = [
        f"{num_bad} of {tensors[name].size} values of `{name}` are not finite in {tensors[name].dtype}"
        for name, num_bad in bad.items()
        if num_bad
    ]
    faults = faults or [
        f"`{name}` has values beyond {_MAX_VALUE:g}, which overflow in what is computed from them"
        for name, array in tensors.items()
        if array.size and np.abs(array.astype(np.float32)).max() > _MAX_VALUE
    ]
    if faults:
        raise ContractError(f"{where}: {'; '.join(faults)}. Make the file again.")


def _parse_dtype_info(text: str, path: Path) -> Mapping[str, str]:
    try:
        dtype_info = parse_json(text)
    except ValueError:
        dtype_info = None
    if not isinstance(dtype_info, dict):
        raise ContractError(f"{path}: its metadata entry `{_DTYPE_INFO}` is not a JSON object of names and dtypes.")
    return dtype_info
