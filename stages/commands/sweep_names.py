"""Tasks of sweeps: each stands for those of its videos, whose names are in its `meta`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SWEEP = "sweep"


def is_sweep(task: Any) -> bool:
    """Whether a task is that of a sweep."""
    return bool(task.meta) and _SWEEP in task.meta


def videos_of_sweep(task: Any) -> Sequence[str]:
    """Names of the tasks of a sweep's videos."""
    return tuple(task.meta[_SWEEP])


def expand_sweeps(names: Iterable[str], tasks: Mapping[str, Any]) -> list[str]:
    """Names of tasks, each once, and in the place of a sweep those of its videos; one that is nobody's stays."""
    found: dict[str, None] = {}
    for name in names:
        task = tasks.get(name)
        found |= dict.fromkeys(videos_of_sweep(task) if task is not None and is_sweep(task) else (name,))
    return [*found]
