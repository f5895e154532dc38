"""Puts a small file of a store in place as a whole: a reader sees the file before or the new one, and never a part.

With one exception: in a sticky folder (mode 1777) nobody can rename over another user's file, so that one is written in
place (docs/decisions/0027). Who reads it meanwhile can see a part; `read_whole` then waits until it is whole.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

from stages.machine.regular_files import open_descriptor
from stages.store.drafts import Drafts, sync
from stages.store.sharing import share
from stages.store.unfinished import name_unfinished

_Read = TypeVar("_Read")


def write_file(path: Path, content: str | bytes, *, is_synced: bool) -> None:
    """Write a file, in place of the one that is there. Those may read and write it who may its folder.

    Args:
        path: of the file; its folder is there.
        content: of it; text is written as UTF-8.
        is_synced: whether to wait until it is on the disk, name and all; otherwise it can be lost with the power.
    Raises:
        OSError: it cannot be written; what was there is still there, unless the disk fails while another user's file is
            written in place.
    """
    new, data = name_unfinished(path), content.encode() if isinstance(content, str) else content
    try:
        with new.open("wb") as file:
            share(new, path.parent)
            file.write(data)
            file.flush()
            if is_synced:
                os.fsync(file.fileno())
        try:
            new.replace(path)
        except PermissionError as error:
            _overwrite(path, data, error, is_synced=is_synced)
        if is_synced:
            sync(path.parent)
    finally:
        new.unlink(missing_ok=True)


def read_whole(read: Callable[[], _Read], root: Path) -> _Read:
    """What `read` gives of a file that is written under the store's lock alone, which the caller does not have.

    Args:
        read: raises ValueError where it finds something else than what is written there, or a part of it.
        root: the store's folder.
    Raises:
        OSError, ValueError: by `read`, also when nobody is writing.
    """
    try:
        return read()
    except ValueError:
        with ExitStack() as stack:
            with suppress(OSError):  # there is no lock, so that nobody writes
                stack.enter_context(Drafts(root).shared())
            return read()


def _overwrite(path: Path, data: bytes, refusal: PermissionError, *, is_synced: bool) -> None:
    """Write into a file that is there and cannot be replaced. Raises OSError; `refusal` where it cannot be written."""
    try:
        descriptor = open_descriptor(path, os.O_WRONLY | os.O_NOFOLLOW)
    except OSError:
        raise refusal from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.truncate()
        file.flush()
        if is_synced:
            os.fsync(file.fileno())
