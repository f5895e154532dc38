"""The weights of a component, from the files that were picked, and a check of their names and shapes."""

from collections.abc import Mapping
from typing import Final

from stages.errors import CheckpointError
from stages.machine.regular_files import read_regular
from stages.models.component_files import ComponentFiles, parse_index
from stages.models.tensor_names import explain_prefix, find_prefix
from stages.models.wording import COPY_AGAIN, name_some
from stages.tensors.dtypes import Shape
from stages.tensors.weight_files import WeightFiles

_MAX_LISTED: Final = 100  # names of a kind in a message


def open_weights(files: ComponentFiles) -> WeightFiles:
    """The tensors of a component, by name; none is read yet.

    Raises:
        CheckpointError: a file cannot be read, is damaged, or is not what the index says.
    """
    picked = files.picked
    if not picked.index:
        return WeightFiles(files.folder, dict.fromkeys(picked.weights))
    path = files.folder / picked.index
    try:
        content = read_regular(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}). {COPY_AGAIN}") from error
    return WeightFiles(files.folder, parse_index(content, str(path)))


def check_weights(files: WeightFiles, expected: Mapping[str, Shape], *, prefix: str = "") -> None:
    """Compare the weights of a component with those that are expected.

    Args:
        files: of one component.
        expected: shape of each weight by name.
        prefix: only weights whose names start with it are compared.
    Raises:
        CheckpointError: weights are missing, spare or misshapen; lists most of them. Or all names have a prefix.
    """
    if unknown := find_prefix(expected.keys(), files.shapes):
        raise CheckpointError(explain_prefix(unknown, min(expected), str(files.folder)))
    found = {name: shape for name, shape in files.shapes.items() if name.startswith(prefix)}
    misshapen = [
        f"{name} is {list(found[name])}, not {list(expected[name])}"
        for name in sorted(expected.keys() & found.keys())
        if found[name] != expected[name]
    ]
    kinds = {
        "missing": sorted(expected.keys() - found.keys()),
        "spare": sorted(found.keys() - expected.keys()),
        "misshapen": misshapen,
    }
    lines = [f"{len(names)} {kind}: {name_some(names, _MAX_LISTED)}" for kind, names in kinds.items() if names]
    if lines:
        raise CheckpointError(
            "\n  ".join([f"{files.folder}: the weights do not fit its config.json:", *lines])
            + "\n  Download or copy the checkpoint again."
        )
