"""The file, artifact or video that a command is about, or several, and the parameters beside them."""

import os
from collections.abc import Mapping, Sequence

from stages.commands.command_line import read_overrides
from stages.errors import ParamsError

MACHINE = "machine."  # how settings of the machine begin, which every command takes


def read_file_argument(command: str, names: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """What is named, and the overrides; a file whose name has a `=` looks like one of these, and is none.

    Args:
        command: whose argument it is, such as "inspect".
        names: the arguments that are no overrides.
    Raises:
        ParamsError: not one thing is named.
    """
    found, overrides = read_file_arguments(names)
    if len(found) != 1:
        raise ParamsError(
            f"doit {command}: takes one file, artifact or video, and not {len(found)}. `doit help {command}` says more."
        )
    return found[0], overrides


def read_file_arguments(names: Sequence[str]) -> tuple[Sequence[str], Mapping[str, str]]:
    """As `read_file_argument`, of a command that takes any number of files."""
    overrides = dict(read_overrides())
    files = [f"{name}={text}" for name, text in overrides.items() if os.path.lexists(f"{name}={text}")]
    for file in files:
        del overrides[file.partition("=")[0]]
    return [*names, *files], overrides
