"""How doit tells whether a file has changed."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from doit.dependency import FileChangedChecker

from stages.keys import digest_file

# size in bytes, mtime in ns, XXH3-128; a list when doit has read it from its file
State: TypeAlias = Sequence[int | str]


class Xxh3Checker(FileChangedChecker):  # type: ignore[misc] # doit has no types
    """Size and modification time first, then the content.

    doit's own checker trusts an equal time in whatever resolution a float has, before it looks at the size.
    """

    def check_modified(self, file_path: str, file_stat: os.stat_result, state: State) -> bool:
        """Whether the file differs from `state`, as `get_state` gave it."""
        size, mtime_ns, digest = state
        if file_stat.st_size != size:
            return True
        return bool(file_stat.st_mtime_ns != mtime_ns and digest_file(Path(file_path)) != digest)

    def get_state(self, dep: str, current_state: State | None) -> State | None:
        """The file's present state, or None when `current_state` still describes it."""
        status = Path(dep).stat()
        if current_state and tuple(current_state[:2]) == (status.st_size, status.st_mtime_ns):
            return None
        return status.st_size, status.st_mtime_ns, digest_file(Path(dep))
