"""Names of a component's tensors that another tool has changed. Loads nothing heavy."""

from collections import Counter
from collections.abc import Collection, Set


def find_prefix(expected: Set[str], names: Collection[str]) -> str:
    """What another tool has put in front of the names of most tensors that are expected; "" when it is not so."""
    if 2 * len(expected & set(names)) >= len(expected):
        return ""
    prefixes: Counter[str] = Counter()
    most_dots = max((name.count(".") for name in expected), default=0)
    for name in names:  # of a file of which nothing is known: one can have millions of dots
        parts = name.rsplit(".", most_dots + 1)
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
