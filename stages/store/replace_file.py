"""Puts a small file of a store in place as a whole: a reader sees the file before or the new one, and never a part."""

import os
from pathlib import Path

from stages.store.drafts import sync
from stages.store.sharing import share
from stages.store.unfinished import name_unfinished


def write_file(path: Path, content: str | bytes, *, is_synced: bool) -> None:
    """Write a file, in place of the one that is there. Those may read and write it who may its folder.

    Args:
        path: of the file; its folder is there.
        content: of it; text is written as UTF-8.
        is_synced: whether to wait until it is on the disk, name and all; otherwise it can be lost with the power.
    Raises:
        OSError: it cannot be written; what was there is still there.
    """
    new = name_unfinished(path)
    try:
        with new.open("wb") as file:
            share(new, path.parent)
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if is_synced:
                os.fsync(file.fileno())
        new.replace(path)
        if is_synced:
            sync(path.parent)
    finally:
        new.unlink(missing_ok=True)
