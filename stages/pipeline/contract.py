"""What the payload of an artifact must hold: the types that say it, and the check from a file's header alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stages.errors import ContractError

ANY = None  # a size that only the checkpoint or the video knows

Shape = tuple[int | None, ...]

_MAX_FAULTS = 16  # that are listed of one file: one of another kind can have thousands


@dataclass(frozen=True)
class TensorContract:
    """What a tensor in a payload may be.

    Attributes:
        shape: size of each axis, at least 1; ANY where it varies.
        dtypes: names that its dtype may have in the header of a safetensors file.
    """

    shape: Shape
    dtypes: tuple[str, ...]


@dataclass(frozen=True)
class Contract:
    """What one kind of artifact holds, whoever makes or reads it.

    Attributes:
        name: of what it holds, such as "latents".
        payload: name of the file.
        tensors: those in the file, by name; none in a file of another format.
    """

    name: str
    payload: str
    tensors: Mapping[str, TensorContract] = field(default_factory=dict)

    @staticmethod
    def from_fields(fields: Mapping[str, Any]) -> "Contract":
        """The inverse of `dataclasses.asdict`, also after a way through JSON."""
        tensors = {
            name: TensorContract(tuple(tensor["shape"]), tuple(tensor["dtypes"]))
            for name, tensor in fields["tensors"].items()
        }
        return Contract(fields["name"], fields["payload"], tensors)


def check_shapes(
    contract: Contract,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    where: str,
    dtypes: Mapping[str, str] | None = None,
) -> None:
    """Compare a payload's tensors with its contract.

    Args:
        contract: of the payload.
        shapes: of each tensor in it.
        where: what the message names.
        dtypes: of each tensor in it, as the file's header says; None when only shapes are to be compared, because
            no payload gets into the store without this check (job.py).
    Raises:
        ContractError: lists missing, spare and misshapen tensors and wrong dtypes.
    """
    wanted = contract.tensors
    faults = [f"`{name}` is missing" for name in wanted if name not in shapes]
    faults += [f"`{name}` is not part of it" for name in shapes if name not in wanted]
    known = {name: tensor for name, tensor in wanted.items() if name in shapes}
    faults += [
        f"`{name}` is {list(shapes[name])}, not {_describe(tensor.shape)}"
        for name, tensor in known.items()
        if not _fits(shapes[name], tensor.shape)
    ]
    faults += [
        f"`{name}` is {dtypes[name]}, not {' or '.join(tensor.dtypes)}"
        for name, tensor in known.items()
        if dtypes is not None and dtypes[name] not in tensor.dtypes
    ]
    if len(faults) > _MAX_FAULTS:
        faults[_MAX_FAULTS:] = [f"and {len(faults) - _MAX_FAULTS} more"]
    if faults:
        raise ContractError(f"{where}: does not hold {contract.name}: {'; '.join(faults)}.")


def _fits(actual: tuple[int, ...], wanted: Shape) -> bool:
    return len(actual) == len(wanted) and all(a >= 1 and w in (ANY, a) for a, w in zip(actual, wanted, strict=True))


def _describe(shape: Shape) -> str:
    return "[" + ", ".join(">= 1" if size is ANY else str(size) for size in shape) + "]"
