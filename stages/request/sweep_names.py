"""Which sweep a name is of, from the files of videos alone: nothing else of the project is read."""

import re
from contextlib import suppress
from pathlib import Path

from stages.pipeline.toml_text import parse_toml, read_toml_text
from stages.request.layers import VIDEO_FILES
from stages.request.sweep import SWEEP

_OF_SWEEP = re.compile(r"(?P<sweep>.+)-[0-9]+")


def find_sweep(name: str, root: Path) -> str | None:
    """The sweep of the project in the folder `root` that names its videos so, whether it has one of this number.

    None where there is no such sweep, or its file cannot be read.
    """
    match = _OF_SWEEP.fullmatch(name)
    if match is None:
        return None
    with suppress(OSError, ValueError):
        if SWEEP in parse_toml(read_toml_text(root / VIDEO_FILES / f"{match['sweep']}.toml")):
            return match["sweep"]
    return None
