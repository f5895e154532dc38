"""Remembers what was computed from a file's content for as long as the file has not changed.

A file is taken as unchanged when path, size, modification and change time (ns) and inode are. Losing the cache costs
time only, so nothing that happens to its file is an error.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from stages.keys import JsonValue
from stages.machine.json_files import parse_json
from stages.machine.regular_files import read_regular
from stages.store.replace_file import write_file

STAT_CACHE = ".stat-cache.json"  # the cache of a store, in its root
# A file written again within the clock's granularity of its first reading could keep its stamp: such young
# files are computed anew each time. Two seconds covers file systems that keep whole seconds.
_TOO_YOUNG_NS = 2_000_000_000
_MAX_BYTES = 2**30  # of the cache file: millions of entries


class StatCache:
    """A dictionary on disk from a file's stamp to a JSON value, per purpose."""

    def __init__(self, path: Path, clock: Callable[[], int] = time.time_ns) -> None:
        """Read the cache file; one that is absent or damaged counts as empty. `clock` gives ns since 1970."""
        self._path = path
        self._clock = clock
        self._changed = False
        self._entries: dict[str, JsonValue] = {}
        with suppress(OSError, ValueError):
            entries = parse_json(read_regular(path, _MAX_BYTES).decode())
            if isinstance(entries, dict):
                self._entries = entries

    def get(self, purpose: str, path: Path, compute: Callable[[Path], JsonValue]) -> JsonValue:
        """`compute(path)`, or what it gave for the same content before.

        Args:
            purpose: names `compute` and the layout of its values: a new layout takes a new name.
            path: the file.
            compute: called when the file has changed, or is too young to be sure.
        """
        now = self._clock()  # before the file is read: it may change while that goes on
        status = path.stat()
        stamp: list[JsonValue] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        name = f"{purpose} {path.absolute()}"
        match self._entries.get(name):
            case [known, value] if known == stamp:
                return value
        value = compute(path)
        # Whatever is written later changes both times, so it is enough that one of them is old.
        if now - min(status.st_mtime_ns, status.st_ctime_ns) > _TOO_YOUNG_NS:
            self._entries[name] = [stamp, value]
            self._changed = True
        return value

    def save(self) -> None:
        """Write the cache if it has changed and its folder is there, which nothing here makes. Never raises OSError."""
        if not self._changed:
            return
        with suppress(OSError):
            write_file(self._path, json.dumps(self._entries), is_synced=False)
            self._changed = False
