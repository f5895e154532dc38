"""Names under which files and folders of a store are made before they are put in place as a whole.

By these `doit gc` knows what a killed process has left.
"""

import re
import secrets
from pathlib import Path

_RANDOM_BYTES = 8
_UNFINISHED = re.compile(rf"\..+-[0-9a-f]{{{2 * _RANDOM_BYTES}}}", re.DOTALL)


def name_unfinished(path: Path) -> Path:
    """A name beside `path` that nobody has, for what is to have its name."""
    return path.with_name(f".{path.name.removeprefix('.')}-{secrets.token_hex(_RANDOM_BYTES)}")


def is_unfinished(name: str) -> bool:
    """Whether a file or folder is called as one that has not yet been put in place."""
    return _UNFINISHED.fullmatch(name) is not None
