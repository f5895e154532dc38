"""A new text file, which is there as a whole or not at all, whatever ends this process."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_new_file(path: Path, text: str) -> None:
    """Write a file where there is none; its folder is made. Raises OSError: it cannot be written, or there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with new.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(new, path, text)
    finally:
        with suppress(OSError):
            new.unlink()


def _put_in_place(new: Path, path: Path, text: str) -> None:
    try:
        os.link(new, path)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
