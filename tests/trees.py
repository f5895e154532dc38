"""Folders as nobody makes them on purpose."""

import os
from pathlib import Path


def make_deep(folder: Path, depth: int) -> None:
    """A folder in which folders are nested so deep that no path reaches the last one; with a file in each."""
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir("nested", dir_fd=here)
        below = os.open("nested", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
