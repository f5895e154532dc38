"""What a message says of what can be done next: a command line as it was typed here, and what a failure has left."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.errors import StageError
from stages.store.layout import DRAFTS

_MAX_NAMED = 3  # names in a command line; of more, all there are are asked for


def command_for(names: Sequence[str], overrides: Mapping[str, str], *words: str) -> str:
    """The command line `doit` that asks for these tasks, as they were asked for here; `words` are of its command."""
    changes = (f"{name}={value}" for name, value in overrides.items())
    return shlex.join(["doit", *words, *(names if len(names) <= _MAX_NAMED else ()), *changes])


def name_artifact(text: str, *, store: Path, folder: Path) -> str:
    """A message about a draft of an artifact as one about the artifact, which is in `folder` of the store."""
    draft = re.compile(rf"{re.escape(str(store))}/{re.escape(DRAFTS)}/[0-9a-f]+/new\b")
    return draft.sub(lambda _: str(folder), text)


def with_what_stays(text: str, kept: Sequence[Path], command: str) -> StageError:
    """A failure with this text; it says which files stay, if any, and the command that goes on from there."""
    if kept:
        payloads = ", ".join(map(str, kept))
        text += f"\n  What it is made from stays: {payloads}. `{command}` goes on from there."
    return StageError(text)
