"""From where it is known what an artifact is whose payload is not here: a gc has deleted it, or it never was here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from stages.keys import JsonValue
from stages.machine.json_files import read_json
from stages.store.manifest import COLLECTED
from stages.store.verdict import NOT_PUSHED, Reason, Verdict

RECORDED: Final = "recorded_from"  # in run.collected.json: the remote store; else as its maker wrote it


def add_origin(run: Mapping[str, JsonValue], address: str) -> Mapping[str, JsonValue]:
    """How an artifact was made, with the remote store that says so and from which its payload did not come."""
    return {**run, RECORDED: address}


def recorded_from(folder: Path) -> str:
    """The remote store from which the artifact in `folder` is known; "" where its payload was here once."""
    try:
        run: Any = read_json(folder / COLLECTED)
    except (OSError, ValueError):
        return ""
    found = run.get(RECORDED) if isinstance(run, dict) else None
    return found if isinstance(found, str) else ""


def with_origin(verdict: Verdict, folder: Path) -> Verdict:
    """A store's word on the artifact in `folder`, which is about a gc, as it is of one that was never here."""
    if verdict == Verdict("collected") and recorded_from(folder):
        return Verdict("collected", (Reason(NOT_PUSHED, None, None),))
    return verdict
