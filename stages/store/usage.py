"""When an artifact was last used, and what it took to make it: what decides which ones `doit gc` deletes first.

Last use is the modification time of its run.json: its publication, each time that a later stage reads it, and each time
that the link of a video is made to point to it. A run that has nothing to do writes nothing, and so is no use.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from stages.machine.json_files import read_json
from stages.store.manifest import COLLECTED, RUN

_BEFORE = "wall_s_of_pieces_before"  # of a denoise that was interrupted (stages/denoise/resume.py)
_MAX_S = 1e12  # of a phase, thirty thousand years: a file that says more says nothing
_DOWNLOAD = "download"  # a phase of a job: what it has brought is in the hub's cache, and is not brought again


def record_use(folder: Path) -> None:
    """Note that the artifact in `folder` is used now. Never raises: somebody else's file may be closed to this user."""
    with suppress(OSError):
        os.utime(folder / RUN)


def run_file(folder: Path) -> Path:
    """The file that says how the artifact was made, under its first name or that of a collected one."""
    collected = folder / COLLECTED
    return collected if collected.is_file() and not (folder / RUN).is_file() else folder / RUN


def read_rebuild_s(file: Path) -> float | None:
    """Seconds that it took to make an artifact, by its run.json; None where that cannot be known.

    Downloads do not count. They can also not be known of what came from a file elsewhere: that file may be gone.
    """
    try:
        run: Any = read_json(file)
    except (OSError, ValueError):
        return None
    phases = run.get("wall_s") if isinstance(run, dict) else None
    if not isinstance(phases, dict) or not phases:
        return None
    seconds = [value for phase, value in phases.items() if phase != _DOWNLOAD]
    seconds.append(run.get(_BEFORE, 0))
    if not all(type(value) in (int, float) and 0 <= value <= _MAX_S for value in seconds):
        return None
    return float(sum(seconds))
