"""A check of the names and shapes of a component's weights against its settings, before a tensor is read."""

from collections.abc import Mapping

from stages.errors import CheckpointError
from stages.tensors.dtypes import Shape
from stages.tensors.weight_files import WeightFiles


def check_weights(files: WeightFiles, expected: Mapping[str, Shape], *, prefix: str = "") -> None:
    """Compare the weights of a component with those that are expected.

    Args:
        files: of one component.
        expected: shape of each weight by name.
        prefix: only weights whose names start with it are compared.
    Raises:
        CheckpointError: weights are missing, spare or misshapen; lists all of them.
    """
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
    lines = [f"{len(names)} {kind}: " + ", ".join(names) for kind, names in kinds.items() if names]
    if lines:
        raise CheckpointError(
            "\n  ".join([f"{files.folder}: the weights do not fit its config.json:", *lines])
            + "\n  Download or copy the checkpoint again."
        )
