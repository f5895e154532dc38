"""File systems of a test's own: small, full, or that may only be read. A test is skipped where none can be mounted."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A new tmpfs on `folder`, with options of mount, for the time of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    mount(["-t", "tmpfs", "-o", options, "tmpfs", str(folder)])
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def mounted_ext4(folder: Path, image: Path, size_bytes: int) -> Iterator[Path]:
    """A new ext4 of this size on `folder`, kept in the file `image`, for the time of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(size_bytes)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)], check=True)
    except FileNotFoundError:
        pytest.skip("there is no mkfs.ext4")
    mount(["-o", "loop", str(image), str(folder)])
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount(arguments: list[str]) -> None:
    """Skip the test where this cannot be done."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def fill(folder: Path) -> None:
    """Leave no byte of a file system, by a file in `folder`."""
    with (folder / "filling").open("wb", buffering=0) as file, suppress(OSError):
        size_bytes = 2**20
        while size_bytes:
            with suppress(OSError):
                while file.write(bytes(size_bytes)) == size_bytes:
                    pass
            size_bytes //= 2


def use_up_inodes(folder: Path) -> None:
    """Leave no inode of a file system, by empty files in `folder`."""
    with suppress(OSError):
        for number in range(100_000):
            (folder / f"file{number}").touch()
