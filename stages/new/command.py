"""The command line of `python -m stages.new`."""

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from stages.errors import ProjectError, StagesError
from stages.machine.printable import escaped
from stages.new.folder import SETTINGS, make_project, update_settings
from stages.run.text_streams import accept_any_text, find_fault_of_stdout, from_command_line, open_standard_streams

_COMMAND: Final = "python -m stages.new"
_DESCRIPTION: Final = """\
Writes the folder of a project, in which doit makes videos: dodo.py, whose tasks
come from this package; doit.cfg, which makes its commands doit's; params/, with
every parameter and its default, and one video, demo; README.md and .gitignore.

The folder is made, or is empty but for .git and .venv. Nothing is overwritten.
"""
_EXAMPLES: Final = f"""\
examples:
  {_COMMAND} ~/my-videos
  {_COMMAND} --update ~/my-videos

The second one is for after an upgrade: it writes doit.cfg anew, so that doit
there knows new commands.
"""


class _Parser(argparse.ArgumentParser):
    """As argparse's; wrong arguments are one message and exit code 1, as every error here."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{self.prog}: {message}. --help says what there is.\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a project, or update its settings; ends with one message and exit code 1 where that cannot be.

    Args:
        arguments: of the command line after the program's name; None for those of this process.
    """
    closed = open_standard_streams()
    accept_any_text()
    options = _parse(arguments)
    if closed:
        sys.exit(closed)
    try:
        said = _work(options)
    except StagesError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted. Nothing was written.")
    try:
        print(said, flush=True)
    except OSError as error:
        sys.exit(find_fault_of_stdout(error))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog=_COMMAND,
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="FOLDER", help="the project's folder")
    parser.add_argument("--update", action="store_true", help=f"write {SETTINGS} of a project that is there anew")
    options = parser.parse_args(arguments)
    if not options.folder:
        parser.error('FOLDER is empty (""); perhaps it is a shell variable without a value')
    return options


def _work(options: argparse.Namespace) -> str:
    """What was done, for the user."""
    typed = from_command_line(options.folder)
    try:
        folder = Path(options.folder).expanduser()
    except RuntimeError as error:
        raise ProjectError(f"{escaped(typed)}: is nobody's home folder. Correct it.") from error
    shown = escaped(str(folder))
    if options.update:
        return f"{shown}: {SETTINGS} " + ("is written anew." if update_settings(folder) else "is as it should be.")
    make_project(folder)
    return f"{shown}: a project with one video, demo. Next:\n\n{_next_commands(folder)}"


def _next_commands(folder: Path) -> str:
    commands = [] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    return "\n".join(
        f"  {escaped(command)}" for command in (*commands, f"{_find_doit()}   # makes artifacts/videos/demo.mp4")
    )


def _find_doit() -> str:
    """How doit of this environment is called: by its name, if that is the one that a shell finds."""
    found = shutil.which("doit")
    is_ours = found is not None and os.path.dirname(found) == os.path.dirname(sys.executable)  # noqa: PTH120 (text)
    return "doit" if is_ours else f"{shlex.quote(sys.executable)} -m doit"
