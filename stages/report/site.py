"""Writes the report's folder: pages, and copies of videos and pictures. What is as it should be is left alone.

    index.html, compare.html, data.js   the wall, the comparison, and what both search
    ratings.js                          the project's ratings and notes
    videos/<name>.html, sweeps/<name>.html
    media/<digest>.mp4, ...             by the digests of the videos' bytes, so that no file ever changes
    static/                             styles and scripts

Copies, because a hard link changes a file's ctime: the store would have to read each video again (0040).
"""

import os
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stages.machine.file_lock import open_lock, wait_for_lock
from stages.report.file_names import media_name, poster_name, preview_name, strip_name
from stages.report.pages import Pages
from stages.report.ratings import Ratings
from stages.report.search_data import to_data, to_script
from stages.report.shown import Shown
from stages.store.layout import REPORT
from stages.store.posters import POSTER, STRIP, poster_folder
from stages.store.replace_file import write_file
from stages.store.sharing import lock_mode, make_folder, share
from stages.store.unfinished import name_unfinished

STATIC: Final = Path(__file__).with_name("static")
_FOLDERS: Final = ("videos", "sweeps", "media", "static")  # in which all files are the report's own
_LOCK: Final = ".lock"


@dataclass(frozen=True)
class Written:
    """What has happened in the folder: the number of files that were written, deleted, and left as they were."""

    num_written: int
    num_deleted: int
    num_kept: int


@contextmanager
def one_at_a_time(root: Path) -> Iterator[Path]:
    """The folder of a store's report, for whoever writes it next: others wait until the block ends.

    Where the file system has no locks, two can write at once: then each file is whole, of one or of the other.

    Raises:
        OSError: the folder cannot be made, or the lock not be opened.
    """
    folder = root / REPORT
    make_folder(folder, root)
    lock = open_lock(folder / _LOCK, mode=lock_mode(root))
    try:
        wait_for_lock(lock)
        yield folder
    finally:
        os.close(lock)


def write_site(folder: Path, shown: Shown, ratings: Ratings, root: Path) -> Written:
    """Make the folder what it should be.

    Args:
        folder: of the report, in the store.
        shown: what it shows.
        ratings: and notes, as the project's file has them.
        root: the store's folder.
    Raises:
        OSError: it cannot be written.
    """
    for name in ("", *_FOLDERS):
        make_folder(folder / name, root)
    copies = dict(_list_copies(shown, root))
    written = sum(_copy(source, folder / name) for name, source in copies.items())
    contents = {name: text.encode() for name, text in _list_texts(shown, ratings)}
    contents |= {f"static/{file.name}": file.read_bytes() for file in STATIC.iterdir()}
    written += sum(_write(folder / name, content) for name, content in contents.items())
    previews = dict(_list_previews(shown))
    written += sum(_renew(source, folder / name) for name, source in previews.items())
    wanted = {*copies, *contents, *previews}
    return Written(written, _delete_others(folder, wanted), len(wanted) - written)


def _list_copies(shown: Shown, root: Path) -> Iterator[tuple[str, Path]]:
    for video in shown.videos.values():
        yield media_name(video), video.file
        if video.facts is not None:
            yield poster_name(video.digest), poster_folder(root, video.digest) / POSTER
            yield strip_name(video.digest), poster_folder(root, video.digest) / STRIP


def _list_previews(shown: Shown) -> Iterator[tuple[str, Path]]:
    """They keep their names when they change."""
    for each in shown.cards:
        if each.preview is not None and (name := preview_name(each)):
            yield name, each.preview


def _list_texts(shown: Shown, ratings: Ratings) -> Iterator[tuple[str, str]]:
    pages = Pages(shown)
    yield "index.html", pages.wall()
    yield "compare.html", pages.compare()
    for video in shown.videos.values():
        yield f"videos/{video.name}.html", pages.video(video)
    for sweep in shown.sweeps:
        yield f"sweeps/{sweep}.html", pages.sweep(sweep)
    yield "data.js", to_script("REPORT", to_data(shown))
    yield "ratings.js", to_script("RATINGS", {"canSave": False, "videos": ratings})


def _copy(source: Path, target: Path) -> bool:
    """Whether there was something to copy: files of one size and one time are the same.

    One that is another user's, in a sticky folder, stays: its name is that of its content.
    """
    before = source.stat()
    if _is_copy(target, before):
        return False
    new = name_unfinished(target)
    try:
        shutil.copyfile(source, new)
        share(new, target.parent)
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        new.replace(target)
    except PermissionError:
        if not target.is_file():
            raise
        return False
    finally:
        new.unlink(missing_ok=True)
    return True


def _renew(source: Path, target: Path) -> bool:
    """The same for a small file that keeps its name: another user's, in a sticky folder, is written in place."""
    before = source.stat()
    if _is_copy(target, before):
        return False
    write_file(target, source.read_bytes(), is_synced=False)
    with suppress(PermissionError):
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    return True


def _is_copy(target: Path, source: os.stat_result) -> bool:
    with suppress(OSError):
        found = target.stat()
        return (found.st_size, found.st_mtime_ns) == (source.st_size, source.st_mtime_ns)
    return False


def _write(path: Path, content: bytes) -> bool:
    with suppress(OSError):
        if path.read_bytes() == content:
            return False
    write_file(path, content, is_synced=False)
    return True


def _delete_others(folder: Path, wanted: Set[str]) -> int:
    """Delete what an earlier report had, other users' files in a sticky folder left out; how many files that were."""
    num_deleted = 0
    for name in _FOLDERS:
        for path in sorted((folder / name).iterdir()):
            if f"{name}/{path.name}" not in wanted and path.is_file():
                with suppress(PermissionError):
                    path.unlink()
                    num_deleted += 1
    return num_deleted
