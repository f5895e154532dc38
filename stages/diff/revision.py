"""A project as it is at a git revision: found by a name, and written into a folder.

Git's own worktrees are not used: when a process is killed, they leave entries in the repository, to which nothing is
written here.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.errors import StageError
from stages.machine.printable import escaped, printable

_SHORT = 12  # characters of a commit that people see
# Variables that git sets for its hooks: they mean the repository that the hook is of, seen from another folder.
_OF_HOOKS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"})
_BUT_COMPILED = ":(exclude,glob)**/__pycache__/**"  # Python's own files, which not every project has git ignore


@dataclass(frozen=True)
class Revision:
    """A commit of the repository that a project is in.

    Attributes:
        name: as a person has typed it.
        commit: its hash.
        repository: the folder of the repository's files.
        project: the project's folder in there, relative.
        has_changes: whether files of the project differ from the commit that is checked out.
    """

    name: str
    commit: str
    repository: Path
    project: Path
    has_changes: bool

    def __str__(self) -> str:
        """As people see it."""
        short = self.commit[:_SHORT]
        return short if self.commit.startswith(self.name) else f"{escaped(self.name)} ({short})"


def find_revision(name: str, root: Path) -> Revision:
    """The commit with this name (a branch, a tag, a hash, HEAD~1) in the repository of the project in `root`.

    Raises:
        StageError: there is no such commit, the project is in no repository, or git is not installed.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    if top.returncode or not top.stdout.strip():
        why = printable(top.stderr).removeprefix("fatal: ") or "it has no files"
        raise StageError(
            f"{root}: is in no git repository that can be read ({why}). There are no revisions to compare."
        )
    repository = Path(top.stdout.removesuffix("\n"))
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        raise StageError(
            f"{escaped(name)}: no such revision in {repository}. `git log --oneline` lists commits, `git branch` and "
            "`git tag` names. One of another clone is there after `git fetch`."
        )
    prefix = _git(root, "rev-parse", "--show-prefix").stdout.removesuffix("\n")
    status = _git(root, "status", "--porcelain", "--", ".", _BUT_COMPILED)
    return Revision(name, found.stdout.strip(), repository, Path(prefix), bool(status.stdout.strip()))


def write_revision(revision: Revision, folder: Path) -> Path:
    """Write the files of a revision into a folder, which is made; the project's folder in there.

    Raises:
        StageError: they cannot be written, or the project is not in that revision.
    """
    files = folder / "files"
    files.mkdir(parents=True)
    index = {"GIT_INDEX_FILE": str(folder / "index")}  # the repository's own stays as it is
    for arguments in (["read-tree", revision.commit], ["checkout-index", "--all", f"--prefix={files}/"]):
        ended = _git(revision.repository, *arguments, environment=index)
        if ended.returncode:
            raise StageError(f"{revision}: cannot be written into {files}: {printable(ended.stderr)}")
    project = files / revision.project
    if not (project / "dodo.py").is_file():
        raise StageError(f"{revision}: has no {revision.project / 'dodo.py'}: there was no such project yet.")
    return project


def _git(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    program = shutil.which("git")
    if program is None:
        raise StageError("git: is not installed, or not in PATH. Install it: it has the revisions.")
    own = {name: text for name, text in os.environ.items() if name not in _OF_HOOKS}
    return subprocess.run(  # noqa: S603 (no shell)
        [program, "-C", str(folder), *arguments],
        env={**own, "LC_ALL": "C", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding=sys.getfilesystemencoding(),
        errors="surrogateescape",  # of paths, which are bytes
        check=False,
    )
