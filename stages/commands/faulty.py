"""Tasks of videos that cannot be made: each has its reason in its `meta`, and fails with it."""

from collections.abc import Iterable, Sequence
from typing import Any

from stages.models.wording import name_some

_FAULT = "fault"


def is_faulty(task: Any) -> bool:
    """Whether a task is of a video that cannot be made."""
    return bool(task.meta) and _FAULT in task.meta


def set_fault(task: Any, reason: str) -> Any:
    """The task of a video, which is now known to be one that cannot be made."""
    task.meta = {**task.meta, _FAULT: reason}
    task.actions.clear()  # it is only reported
    return task


def videos_of(task: Any) -> Sequence[str]:
    """Names of the videos that a task is for; none of one that is no node and no video."""
    return (task.meta or {}).get("videos", ())


def explain_faults(tasks: Iterable[Any]) -> Sequence[str]:
    """The reasons of those among some tasks that are faulty, each once: several videos can have one."""
    return list(dict.fromkeys(task.meta[_FAULT] for task in tasks if is_faulty(task)))


def mention(tasks: Sequence[Any]) -> str:
    """A line on faulty tasks that nobody has asked for."""
    names = name_some([task.name for task in tasks])
    return f"note: not asked for, and cannot be made: {names}. `doit list` says why."
