"""Where the pictures of finished videos lie in a store: `<root>/posters/<digest>/`, by the digest of the video's bytes.

    poster.webp   the first frame
    strip.webp    frames from all of it, side by side
    facts.json    frames, frames per second, width, height and codec, as the file itself says

They are made once (stages/report/painter.py), and again if they are deleted: nothing depends on them.
"""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from stages.keys import KEY_NAME, Digest
from stages.store.layout import POSTERS
from stages.store.leftovers import File

POSTER, STRIP, FACTS = "poster.webp", "strip.webp", "facts.json"
PICTURES: Final = (POSTER, STRIP, FACTS)


def poster_folder(root: Path, digest: Digest) -> Path:
    """Where the pictures of a video with these bytes are or will be."""
    return root / POSTERS / digest


def has_pictures(root: Path, digest: Digest) -> bool:
    """Whether all of them are there."""
    return all((poster_folder(root, digest) / name).is_file() for name in PICTURES)


def list_posters(root: Path, *, but: Collection[str]) -> list[File]:
    """The files of the pictures of all videos but those with these digests."""
    found = []
    for folder in _folders(root):
        if folder.name not in but:
            for name in PICTURES:
                with suppress(OSError):
                    status = (folder / name).lstat()
                    found.append(File(folder / name, status.st_size, status.st_mtime))
    return found


def delete_empty_folders(root: Path) -> None:
    """Those without a picture. Never raises."""
    for folder in _folders(root):
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def _folders(root: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(
            folder
            for folder in (root / POSTERS).iterdir()
            if KEY_NAME.fullmatch(folder.name) and not folder.is_symlink()
        )
    return []
