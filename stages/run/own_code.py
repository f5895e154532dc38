"""Whether the code that runs is the project's own, where the project has some: docs/decisions/0005-processes.md.

`doit` imports the package `stages` that its environment has installed; the stages' processes, which start in the
project's folder, import the one that is there.
"""

import os
import sys
from pathlib import Path

from stages.errors import InstallationError

_HERE = Path(__file__).parent.parent
_PACKAGE_FILE = "__init__.py"


def check_own_code(root: Path, *, only_warns: bool = False) -> None:
    """Compare the package that runs with the one in a project's folder, if there is one.

    Args:
        root: the project's folder.
        only_warns: print what is wrong, and go on: for a command that changes nothing.
    Raises:
        InstallationError: they are two.
    """
    own = root / _HERE.name / _PACKAGE_FILE
    if not own.is_file() or own.samefile(_HERE / _PACKAGE_FILE):
        return
    folder = os.path.abspath(root)  # noqa: PTH100 (without following links: as it was typed)
    error = InstallationError(
        f"{folder}: has code of its own in {_HERE.name}/, and what runs is {_HERE}, which the environment of "
        f"{sys.executable} has installed. Run `pip install -e .` in {folder}, in an environment of its own."
    )
    if not only_warns:
        raise error
    print(f"warning: {error}", file=sys.stderr)
