"""The weights of a component, from the files that were picked, and a check of their names and shapes."""

from collections import Counter
from collections.abc import Collection, Mapping, Set

from stages.errors import CheckpointError
from stages.models.component_files import ComponentFiles, parse_index
from stages.tensors.dtypes import Shape
from stages.tensors.weight_files import WeightFiles


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
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}). Download or copy it again.") from error
    return WeightFiles(files.folder, parse_index(content, str(path)))


def check_weights(files: WeightFiles, expected: Mapping[str, Shape], *, prefix: str = "") -> None:
    """Compare the weights of a component with those that are expected.

    Args:
        files: of one component.
        expected: shape of each weight by name.
        prefix: only weights whose names start with it are compared.
    Raises:
        CheckpointError: weights are missing, spare or misshapen; lists all of them. Or all names have a prefix.
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
    lines = [f"{len(names)} {kind}: " + ", ".join(names) for kind, names in kinds.items() if names]
    if lines:
        raise CheckpointError(
            "\n  ".join([f"{files.folder}: the weights do not fit its config.json:", *lines])
            + "\n  Download or copy the checkpoint again."
        )


def find_prefix(expected: Set[str], names: Collection[str]) -> str:
    """What another tool has put in front of the names of most tensors that are expected; "" when it is not so."""
    if 2 * len(expected & set(names)) >= len(expected):
        return ""
    prefixes: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for place in range(1, len(parts)):
            if ".".join(parts[place:]) in expected:
                prefixes[".".join(parts[:place])] += 1
    prefix, count = max(prefixes.items(), key=lambda item: item[1], default=("", 0))
    return f"{prefix}." if 2 * count >= len(expected) and count else ""


def explain_prefix(prefix: str, name: str, where: str) -> str:
    """A message about names that another tool has written."""
    return (
        f"{where}: the names of its tensors begin with `{prefix}`, as another tool writes them: `{prefix}{name}` in "
        f"place of `{name}`. Use a checkpoint that diffusers has written, or take the prefix from the names."
    )
