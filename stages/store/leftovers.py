"""What runs leave behind besides artifacts: logs, files that were never finished, links to videos that are gone.

Only what carries the names that this project gives is touched; a person's own files never are.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stages.keys import ArtifactId
from stages.machine.file_lock import open_present_lock, try_lock
from stages.store.drafts import Drafts
from stages.store.layout import DRAFTS, EARLIER, LEASES, LOGS, PINS, REFUSED, REMOTE, VIDEOS
from stages.store.link_history import LinkHistory
from stages.store.quantities import Limit
from stages.store.unfinished import is_unfinished
from stages.store.video_links import read_link

_LOG = re.compile(r"[\w.-]+-[0-9]{8}-[0-9]{6}-.+-[0-9]+\.log")
TRANSFER_LOCK = "lock"  # in the folder of what is being fetched (stages/remote/download.py)
_UNFINISHED_S = 24 * 3600.0  # such a file is written in less than a second


@dataclass(frozen=True)
class File:
    """A file: its bytes, and when it was last written or used, in seconds since 1970."""

    path: Path
    size_bytes: int
    last_use: float


def list_logs(root: Path) -> list[File]:
    """What the stages' processes printed."""
    return [*_files(root / LOGS, lambda name: _LOG.fullmatch(name) is not None)]


def list_unfinished(root: Path, artifacts: Iterable[Path], *, now: float) -> list[File]:
    """Files that a process was writing when it was killed.

    Args:
        root: the store's folder.
        artifacts: folders of artifacts.
        now: seconds since 1970.
    """
    folders = (root, root / PINS, root / EARLIER, root / LEASES, *artifacts)
    files = (file for folder in folders for file in _files(folder, is_unfinished))
    return [file for file in files if file.last_use < now - _UNFINISHED_S]


def remove_unfinished_folders(root: Path, *, now: float) -> None:
    """Remove empty folders that a process was making when it was killed; `now` is seconds since 1970."""
    for path in (each for pattern in (".*-*", "*/.*-*") for each in root.glob(pattern)):
        with suppress(OSError):
            if is_unfinished(path.name) and path.lstat().st_mtime < now - _UNFINISHED_S:
                path.rmdir()  # of a folder that is empty, and of nothing else


def beyond(files: Sequence[File], limit: Limit, *, now: float) -> list[File]:
    """The least recently used ones, so that the others are within a limit. `now` is seconds since 1970."""
    files = sorted(files, key=lambda file: (file.last_use, file.path))
    if limit.age_s is not None:
        oldest = now - limit.age_s
        return [file for file in files if file.last_use < oldest]
    excess = sum(file.size_bytes for file in files) - (limit.size_bytes or 0)
    found = []
    for file in files:
        if excess <= 0:
            break
        found.append(file)
        excess -= file.size_bytes
    return found


def list_transfers(root: Path, *, now: float) -> list[File]:
    """What was fetched of artifacts by runs that have not gone on since, and what was refused; a day old, at least."""
    found = []
    with suppress(OSError):
        for folder in (root / REMOTE).iterdir():
            folders = folder.iterdir() if folder == root / REFUSED else [folder]
            found += [file for each in folders for file in _files(each, lambda name: name != TRANSFER_LOCK)]
    return [file for file in found if file.last_use < now - _UNFINISHED_S]


def remove_empty_transfers(root: Path) -> None:
    """Remove the folders of transfers that hold nothing any more, with their locks, unless somebody has begun anew."""
    with suppress(OSError):
        for folder in (root / REFUSED).iterdir():
            with suppress(OSError):
                folder.rmdir()
    with suppress(OSError):
        for folder in (root / REMOTE).iterdir():
            with suppress(OSError):
                _remove_locked(folder)


def _remove_locked(folder: Path) -> None:
    """Remove a folder in which only a lock lies that nobody holds. Raises OSError."""
    descriptor = open_present_lock(folder / TRANSFER_LOCK)
    try:
        if try_lock(descriptor) and [*folder.iterdir()] == [folder / TRANSFER_LOCK]:
            (folder / TRANSFER_LOCK).unlink()
            folder.rmdir()
    finally:
        os.close(descriptor)


def delete_files(files: Iterable[File]) -> int:
    """Delete files as far as they are there and may be deleted; the bytes."""
    freed = 0
    for file in files:
        with suppress(OSError):
            file.path.unlink()
            freed += file.size_bytes
    return freed


def sweep_drafts(root: Path) -> int:
    """Delete what killed writers have left in drafts; the bytes."""
    before = size_of_folder(root / DRAFTS)
    Drafts(root).sweep()
    return max(before - size_of_folder(root / DRAFTS), 0)


def links_to_artifacts(root: Path) -> Mapping[Path, tuple[ArtifactId, Path]]:
    """The links to videos: the artifact that each points to, and its payload, whether these are there or not.

    A link counts only if it reads as `VideoLinks` writes it; nobody knows whose others are.
    """
    found: dict[Path, tuple[ArtifactId, Path]] = {}
    folder, place = (root / VIDEOS).resolve(), root.resolve()
    with suppress(OSError), os.scandir(root / VIDEOS) as entries:
        for entry in entries:
            if entry.is_symlink() and (leads_to := read_link(Path(entry.path), root)) is not None:
                written = os.path.relpath(place / leads_to[1].relative_to(root), folder)
                if os.readlink(entry.path) == written:  # noqa: PTH115 (of its text)
                    found[Path(entry.path)] = leads_to
    return found


def unlink_dangling(root: Path) -> dict[Path, ArtifactId]:
    """Delete the links to payloads that are gone; which ones, and what they led to.

    The next `doit` makes those of present videos anew.
    """
    deleted, history = {}, LinkHistory(root)
    with Drafts(root).exclusive():  # so that no artifact gets its name between the look and the deletion
        for link, (artifact, payload) in sorted(links_to_artifacts(root).items()):
            with suppress(OSError):
                if not os.path.lexists(payload):
                    with suppress(OSError):  # on a disk without a free byte, what makes room has to work
                        history.add(link.name, artifact)
                    link.unlink()
                    deleted[link] = artifact
    return deleted


def size_of_folder(folder: Path) -> int:
    """Bytes of all files below a folder; what cannot be read counts as nothing."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)
                    total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def _files(folder: Path, is_ours: Callable[[str], bool]) -> Iterator[File]:
    """Plain files of a folder by their names, none where it is not there."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_ours(entry.name):
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield File(Path(entry.path), status.st_size, status.st_mtime)
