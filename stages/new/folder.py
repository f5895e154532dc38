"""Writes the folder of a project: all of it, or nothing."""

import os
import stat
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Final

from stages.errors import ProjectError
from stages.machine.printable import escaped
from stages.machine.regular_files import name_kind, reason_of
from stages.store.replace_file import write_file

TEMPLATE: Final = Path(__file__).parent / "template"
SETTINGS: Final = "doit.cfg"
# Under other names in the package: one would be taken for a module of it, and the other would hide files from git.
_NAMES: Final = MappingProxyType({"dodo.txt": "dodo.py", "gitignore.txt": ".gitignore"})
_MAY_BE_THERE: Final = frozenset({".git", ".venv"})  # made first by many: a repository, and what this is installed in
_TASKS: Final = "dodo.py"
_ADVICE: Final = "Name a folder that is not there yet, or an empty one."


def template_files() -> dict[str, bytes]:
    """The files of a new project: content by path below its folder."""
    paths = sorted(path.relative_to(TEMPLATE) for path in TEMPLATE.rglob("*") if path.is_file())
    return {_NAMES.get(str(path), str(path)): (TEMPLATE / path).read_bytes() for path in paths}


def make_project(folder: Path) -> None:
    """Write a project into a folder, which is made if it is not there.

    Raises:
        ProjectError: something else is there, or it cannot be written; what was written until then is gone.
    """
    _require_free(folder)
    files = template_files()
    path = folder
    try:
        with ExitStack() as undo:
            for name, content in files.items():
                path = folder / name
                _make_folders(path.parent, undo)
                with path.open("xb") as file:
                    undo.callback(path.unlink)
                    file.write(content)
            undo.pop_all()
    except OSError as error:
        shown = escaped(str(error.filename or path))  # of a write that failed, Python does not say to which file
        raise ProjectError(f"{shown}: cannot be written ({reason_of(error)}). {_ADVICE}") from error


def update_settings(folder: Path) -> bool:
    """Write doit's settings into the folder of a project anew; whether they were others.

    Raises:
        ProjectError: it is no project's folder, or the file cannot be written.
    """
    if not (folder / _TASKS).is_file():
        raise ProjectError(f"{escaped(str(folder))}: holds no {_TASKS}. --update is for the folder of a project.")
    path, content = folder / SETTINGS, template_files()[SETTINGS]
    try:
        if path.is_file() and path.read_bytes() == content:
            return False
        write_file(path, content, is_synced=False)
    except OSError as error:
        raise ProjectError(
            f"{escaped(str(path))}: cannot be written ({reason_of(error)}). Fix that and run it again."
        ) from error
    return True


def _require_free(folder: Path) -> None:
    """Raise ProjectError unless nothing is there, or a folder without files."""
    shown = escaped(str(folder))
    try:
        if folder.is_symlink() and not folder.exists():
            raise ProjectError(f"{shown}: is a link that leads nowhere. {_ADVICE}")
        mode = folder.stat().st_mode
        if not stat.S_ISDIR(mode):
            raise ProjectError(f"{shown}: {name_kind(mode) or 'is a file'}, and not a folder. {_ADVICE}")
        names = sorted({path.name for path in folder.iterdir()} - _MAY_BE_THERE)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ProjectError(f"{shown}: cannot be read ({reason_of(error)}). {_ADVICE}") from error
    if names:
        others = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        raise ProjectError(f"{shown}: is not empty: it holds {escaped(names[0])}{others}. {_ADVICE}")


def _make_folders(folder: Path, undo: ExitStack) -> None:
    """Make a folder, and those above it that are not there."""
    missing = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    for each in reversed(missing):
        each.mkdir()
        undo.callback(each.rmdir)
