"""What a message says of what can be done next: a command line as it was typed here, and what a failure has left."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.errors import StageError

_MAX_NAMED = 3  # videos in a command line; of more, all are asked for


def command_for(videos: Sequence[str], overrides: Mapping[str, str]) -> str:
    """The command line that makes these videos, as they were asked for here."""
    changes = (f"{name}={value}" for name, value in overrides.items())
    return shlex.join(["doit", *(videos if len(videos) <= _MAX_NAMED else ()), *changes])


def preflight_of(videos: Sequence[str], overrides: Mapping[str, str]) -> str:
    """The command line that says what videos need, as they were asked for here."""
    changes = (f"{name}={value}" for name, value in overrides.items())
    return shlex.join(["doit", "preflight", *videos, *changes])


def name_artifact(text: str, *, store: Path, folder: Path) -> str:
    """A message about a draft of an artifact as one about the artifact, which is in `folder` of the store."""
    draft = re.compile(rf"{re.escape(str(store))}/\.drafts/[0-9a-f]+/new\b")
    return draft.sub(lambda _: str(folder), text)


def with_what_stays(text: str, kept: Sequence[Path], command: str) -> StageError:
    """A failure with this text; it says which files stay, if any, and the command that goes on from there."""
    if kept:
        payloads = ", ".join(map(str, kept))
        text += f"\n  What it is made from stays: {payloads}. `{command}` goes on from there."
    return StageError(text)
