"""Remembers what was computed from a file's content for as long as the file has not changed.

A file is taken as unchanged when path, size, modification time (ns) and inode are. Losing the cache costs time only.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stages.keys import JsonValue

# A file written again within the clock's granularity of its first reading could keep its stamp: such young
# files are computed anew each time. Two seconds covers file systems that keep whole seconds.
_TOO_YOUNG_NS = 2_000_000_000


class StatCache:
    """A dictionary on disk from a file's stamp to a JSON value, per purpose."""

    def __init__(self, path: Path) -> None:
        """Read the cache file; one that is absent or damaged counts as empty."""
        self._path = path
        self._changed = False
        self._entries: dict[str, list[JsonValue]] = {}
        try:
            entries = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return
        if isinstance(entries, dict):
            self._entries = entries

    def get(self, purpose: str, path: Path, compute: Callable[[Path], JsonValue]) -> JsonValue:
        """`compute(path)`, or what it gave for the same content before."""
        status = path.stat()
        stamp: list[JsonValue] = [status.st_size, status.st_mtime_ns, status.st_ino]
        name = f"{purpose} {path.absolute()}"
        known = self._entries.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        value = compute(path)
        if time.time_ns() - status.st_mtime_ns > _TOO_YOUNG_NS:
            self._entries[name] = [stamp, value]
            self._changed = True
        return value

    def save(self) -> None:
        """Write the cache if it has changed; a reader sees the old file or the new one."""
        if not self._changed:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, prefix=".cache-", delete=False) as file:
            json.dump(self._entries, file)
        Path(file.name).replace(self._path)
        self._changed = False
