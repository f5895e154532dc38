"""Payloads of artifacts: whether a file is still the one that was published, and whether its bytes are.

Beside a payload lies a note, `.checked`: the file's size, times and inode when its bytes were last known to be those of
the manifest. While they are the same, nothing is read; otherwise the bytes are read and compared, and the note is
written anew, so that a store that was copied is read once. Nothing depends on the note: where it is missing, damaged or
cannot be written, the bytes are read.
"""

import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from stages.errors import UnreadableError
from stages.keys import Digest, digest_bytes
from stages.machine.regular_files import digest_file, is_damage
from stages.store.manifest import NOTE, RUN, Manifest
from stages.store.replace_file import write_file
from stages.store.verdict import Reason

Stamp: TypeAlias = tuple[int, int, int, int]  # size in bytes, mtime and ctime in ns, inode
Clock: TypeAlias = Callable[[], int]  # ns since 1970

# A file written again within the clock's granularity of its reading could keep its stamp; so young files are read each
# time. Two seconds covers file systems that keep whole seconds.
_TOO_YOUNG_NS = 2_000_000_000
_TICK_S = 0.005  # of a file system's clock, at least once
_MAX_TICKS = 20
_LARGE_BYTES = 1 << 28  # which take a tenth of a second and more to read
_NUM_FIELDS = 7  # of a note
_MAX_NOTE_BYTES = 1024


@dataclass(frozen=True)
class Note:
    """What an artifact's files were when they were last known to be whole.

    Attributes:
        digest: of the payload's bytes.
        stamp: of the payload's file.
        run: digest of the bytes of run.json; "" where there was none.
    """

    digest: Digest
    stamp: Stamp
    run: Digest

    def to_text(self) -> str:
        """One line: a checksum of the rest, then the fields."""
        text = " ".join([self.digest, *map(str, self.stamp), self.run or "-"])
        return f"{digest_bytes(text.encode())} {text}\n"

    @staticmethod
    def from_text(text: str) -> "Note":
        """The inverse of `to_text`. Raises ValueError for any other text."""
        fields = text.split()
        if len(fields) != _NUM_FIELDS:
            raise ValueError("it is no note")
        size_bytes, mtime_ns, ctime_ns, inode = map(int, fields[2:6])
        run = "" if fields[6] == "-" else fields[6]
        note = Note(Digest(fields[1]), (size_bytes, mtime_ns, ctime_ns, inode), Digest(run))
        if note.to_text() != text:
            raise ValueError("its checksum is another one")
        return note


class Payloads:
    """The payloads of a store. Remembers for its life what has been read; may be used by several threads."""

    def __init__(
        self, notify: Callable[[Path, int], None] = lambda _path, _size_bytes: None, clock: Clock = time.time_ns
    ) -> None:
        """Nothing has been read.

        Args:
            notify: called with a file and its bytes, before one that takes long is read.
            clock: says what is young.
        """
        self._notify = notify
        self._clock = clock
        self._known: dict[str, tuple[Stamp, Digest | None]] = {}  # by path; None: it is lost

    def find_fault(self, folder: str, manifest: Manifest) -> Reason | None:
        """Why the bytes of the payload in an artifact's folder are not those of its manifest; None when they are.

        They are read only if it is not the file that was published, and then once.

        Raises:
            UnreadableError: that cannot be known.
        """
        path = f"{folder}/{manifest.payload}"
        stamp = stamp_of(path)
        if stamp is None:
            return Reason("digest", manifest.digest, None)
        known = self._known.get(path)
        digest = known[1] if known is not None and known[0] == stamp else self._digest(folder, manifest, stamp)
        return None if digest == manifest.digest else Reason("digest", manifest.digest, digest)

    def _digest(self, folder: str, manifest: Manifest, stamp: Stamp) -> Digest | None:
        path = f"{folder}/{manifest.payload}"
        digest: Digest | None = manifest.digest
        if not _is_noted(folder, manifest.digest, stamp):
            if stamp[0] >= _LARGE_BYTES:
                self._notify(Path(path), stamp[0])
            digest = _read(Path(path))
            if _is_young(stamp, self._clock):
                return digest
            if digest == manifest.digest and stamp_of(path) == stamp:
                keep_note(Path(folder), digest, stamp, self._clock)
        self._known[path] = stamp, digest
        return digest


def stamp_of(path: str | Path) -> Stamp | None:
    """What identifies a file's present content as far as it can be known without reading it; None if it is no file.

    Raises:
        UnreadableError: whether there is one cannot be known.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 (a Path for each of thousands would take longer than all else here)
    except OSError as error:
        if not is_damage(error):
            raise UnreadableError(path, error) from error
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def is_still(path: Path, digest: Digest) -> bool | None:
    """Whether a file has this digest, which its manifest says; true also of one that is not there; None: not known."""
    try:
        return digest_file(path) == digest
    except FileNotFoundError:
        return True
    except OSError as error:
        return False if is_damage(error) else None


def read_note(folder: Path) -> Note | None:
    """The note on an artifact's payload; None where there is none. Raises ValueError when it is damaged.

    An empty file is none: a crash can leave one, because notes are not synced to disk.
    """
    content = _read_small(f"{folder}/{NOTE}")
    return Note.from_text(content.decode()) if content else None


def note_published(folder: Path, manifest: Manifest) -> None:
    """Note what the files of a finished draft are, when nothing will touch them any more. Never raises OSError.

    Returns when the file system's clock has gone on, so that whoever changes the payload later gives it another time.
    Where that takes too long, because the clock is coarse, nothing is noted.
    """
    path = folder / NOTE
    with suppress(OSError, UnreadableError):
        stamp = stamp_of(folder / manifest.payload)
        if stamp is None:
            return
        text = Note(manifest.digest, stamp, digest_file(folder / RUN)).to_text()
        for _ in range(_MAX_TICKS):
            path.write_text(text, encoding="ascii")
            if path.stat().st_ctime_ns != stamp[2]:
                return
            time.sleep(_TICK_S)
        path.unlink()


def keep_note(folder: Path, digest: Digest, stamp: Stamp, clock: Clock = time.time_ns) -> None:
    """Note that a payload with this stamp has been read and has this digest. Never raises OSError.

    What is noted already is not written again; of a young file nothing is noted.
    """
    if _is_young(stamp, clock) or _is_noted(folder, digest, stamp):
        return
    with suppress(OSError):
        write_file(folder / NOTE, Note(digest, stamp, _noted_run(folder)).to_text(), is_synced=False)


def _noted_run(folder: Path) -> Digest:
    """The digest of run.json as it was noted before, or else as it is; "" where there is none."""
    with suppress(ValueError):
        if note := read_note(folder):
            return note.run
    try:
        return digest_file(folder / RUN)
    except OSError:
        return Digest("")


def _is_noted(folder: str | Path, digest: Digest, stamp: Stamp) -> bool:
    """Whether the note says that a file with this stamp has this digest."""
    content = _read_small(f"{folder}/{NOTE}") or b""
    return b" %s %d %d %d %d " % (digest.encode(), *stamp) in content


def _is_young(stamp: Stamp, clock: Clock) -> bool:
    """Whether a file could be changed without a change of its stamp."""
    return abs(clock() - stamp[2]) <= _TOO_YOUNG_NS


def _read_small(path: str) -> bytes | None:
    """The beginning of a file, as much as a note can have; None where there is no file to read. Never waits."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a FIFO: at once, and there is nothing in it
    except OSError:
        return None
    try:
        return os.read(descriptor, _MAX_NOTE_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _read(path: Path) -> Digest | None:
    """A file's digest; None when it is lost. Raises UnreadableError when it may be whole."""
    try:
        return digest_file(path)
    except OSError as error:
        if not is_damage(error):
            raise UnreadableError(path, error) from error
        return None
