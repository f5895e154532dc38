"""Whether a disk has room for what a run will make and download, as far as that is known before it begins.

A payload's size is known where its program's module `checks` has a function `size_bytes`. What is not known (videos,
logs, compiled programs) does not count, so that a run is refused only when its disk cannot suffice.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.machine.binary_units import show_binary
from stages.machine.kept_programs import size_of_programs

_FILES = 4  # an artifact: its folder, payload, manifest.json, run.json
_DRAFT_FILES = 3  # beside one of them that is being written: the draft's folder, one in it, and its lock
_ELSEWHERE = "set `artifacts` in params/machine.toml to a folder on another disk"


@dataclass(frozen=True)
class Need:
    """What a node takes.

    Attributes:
        stage: of the node.
        size_bytes: of the payload to be made; 0 where it is not known.
        old_bytes: of the one that is there and goes when the new one is whole; None where there is none.
    """

    stage: str
    size_bytes: int
    old_bytes: int | None = None


def find_shortages(store: Path, needs: Sequence[Need], *, downloads: Mapping[Path, int]) -> list[str]:
    """A message per disk that has no room for a run.

    Args:
        store: the store's folder, which need not be there.
        needs: of the nodes to be made, in their order.
        downloads: bytes that will come into each of these files.
    """
    disk = _Disk(store)
    elsewhere: dict[int, list[Path]] = {}
    for path in downloads:
        elsewhere.setdefault(_device(path), []).append(path)
    here_bytes = sum(downloads[path] for path in elsewhere.pop(_device(store), ()))
    needed_bytes, needed_files = peak_bytes(needs) + here_bytes, _peak_files(needs)
    faults = []
    if disk.is_known and needed_bytes > disk.free_bytes:
        faults.append(
            f"{store}: has room for {show_binary(disk.free_bytes)}, and this run takes at least "
            f"{show_binary(needed_bytes)} ({_describe(needs, here_bytes)}). Make room (`doit clean` removes "
            f"artifacts{_describe_programs(store)}), ask for fewer videos, or {_ELSEWHERE}."
        )
    elif disk.counts_files and needed_files > disk.free_files:
        faults.append(
            f"{store}: has room for {disk.free_files} more files (inodes), and this run makes {needed_files}. Make "
            f"room (`doit clean` removes artifacts), or {_ELSEWHERE}."
        )
    for paths in elsewhere.values():
        disk, needed_bytes = _Disk(paths[0]), sum(downloads[path] for path in paths)
        if disk.is_known and needed_bytes > disk.free_bytes:
            faults.append(
                f"{paths[0].parent}: has room for {show_binary(disk.free_bytes)}, and "
                f"{show_binary(needed_bytes)} are to be downloaded. Make room, or set HF_HUB_CACHE to a folder on "
                "another disk."
            )
    return faults


class _Disk:
    """What a file system says of itself. Some of those on a network do not say how large they are."""

    def __init__(self, path: Path) -> None:
        found, is_root = os.statvfs(_existing(path)), os.geteuid() == 0  # for root some is kept
        self.is_known, self.counts_files = found.f_blocks > 0, found.f_files > 0
        self.free_bytes = (found.f_bfree if is_root else found.f_bavail) * found.f_frsize
        self.free_files = found.f_ffree if is_root else found.f_favail


def peak_bytes(needs: Iterable[Need]) -> int:
    """The most that is taken at a time: an old payload goes only when the new one is whole."""
    taken = most = 0
    for need in needs:
        taken += need.size_bytes
        most = max(most, taken)
        taken -= need.old_bytes or 0
    return most


def _peak_files(needs: Sequence[Need]) -> int:
    """The most files at a time; of those that replace others, there is one too many at a time."""
    num_new = sum(need.old_bytes is None for need in needs)
    return max(num_new, 1) * _FILES + _DRAFT_FILES if needs else 0


def _describe(needs: Iterable[Need], download_bytes: int) -> str:
    sizes: dict[str, list[int]] = {}
    for need in needs:
        if need.size_bytes:
            sizes.setdefault(need.stage, []).append(need.size_bytes)
    parts = [f"{len(found)} x {stage}: {show_binary(sum(found))}" for stage, found in sizes.items()]
    return ", ".join(parts + ([f"downloads: {show_binary(download_bytes)}"] if download_bytes else []))


def _describe_programs(store: Path) -> str:
    """What of a store can go and costs time alone."""
    try:
        size_bytes = size_of_programs(store)
    except OSError:
        return ""
    if not size_bytes:
        return ""
    return f"; `doit gc --keep-programs 0` removes {show_binary(size_bytes)} of compiled programs"


def _device(path: Path) -> int:
    return _existing(path).stat().st_dev


def _existing(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
