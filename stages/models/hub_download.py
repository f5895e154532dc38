"""Brings several files of a commit into the hub's cache: their order, the room for them, the progress, the message.

Imported when something is missing; hub_transfer.py brings one file.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from stages.errors import CheckpointError
from stages.machine.binary_units import MIB
from stages.models import hub_client, hub_transfer
from stages.models.hub_cache import repo_folder
from stages.models.hub_listing import HubFile
from stages.models.hub_refusals import refusal

_LENGTH_BYTES = 8  # before the header of a safetensors file
_USUAL_HEADER_BYTES = 2**18  # of one file of a large model, most have less
_MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_REPORT_EVERY_S = 0.2  # a stage's process writes a line each time


def download(repo: str, commit: str, files: Mapping[str, HubFile], progress: Callable[[int, int], None]) -> None:
    """Bring files into the cache, the smallest first: what is refused is so at once.

    Args:
        repo, commit: of the hub.
        files: by path; none of them is in the snapshot.
        progress: called with the bytes that are there and the bytes in all.
    Raises:
        CheckpointError: see `hub.fetch`.
    """
    count = _Count(progress, sum(file.size_bytes for file in files.values()))
    try:
        _require_room(repo, files)
        for path, file in sorted(files.items(), key=lambda each: each[1].size_bytes):
            hub_transfer.bring(repo, commit, path, file, count)
            count.close_file(file.size_bytes)
    except Exception as error:
        raise refusal(error, repo, commit, files) from None


def probe(repo: str, commit: str, files: Mapping[str, HubFile]) -> None:
    """Ask for the first byte of one of these files; nothing is kept.

    Raises:
        CheckpointError: see `hub.fetch`.
    """
    path = max(files, key=lambda path: files[path].size_bytes)  # an empty file has no first byte
    headers = {"Range": "bytes=0-0"} if files[path].size_bytes else {}
    try:
        hub_client.receive(hub_client.file_url(repo, commit, path), lambda *_: None, headers=lambda: headers)
    except Exception as error:
        raise refusal(error, repo, commit, files) from None


def download_header(repo: str, commit: str, path: str) -> bytes:
    """The header of a safetensors file, with its length before it; nothing is kept.

    Raises:
        CheckpointError: see `hub.fetch`.
    """
    try:
        start = hub_client.ask_bytes(repo, commit, path, _USUAL_HEADER_BYTES)
        end = _LENGTH_BYTES + int.from_bytes(start[:_LENGTH_BYTES], "little")
        if _USUAL_HEADER_BYTES < end <= _MAX_HEADER_BYTES:
            start = hub_client.ask_bytes(repo, commit, path, end)
    except Exception as error:
        raise refusal(error, repo, commit, [path]) from None
    return start[:end]


class _Count:
    """Adds up the bytes of files, and reports them from time to time and at the end."""

    def __init__(self, progress: Callable[[int, int], None], total_bytes: int) -> None:
        self._progress = progress
        self._total_bytes = total_bytes
        self._closed_bytes = 0
        self._last_s = float("-inf")

    def __call__(self, num_bytes: int) -> None:
        """So many bytes of the present file are there."""
        done_bytes, now_s = self._closed_bytes + num_bytes, time.monotonic()
        if now_s - self._last_s >= _REPORT_EVERY_S or done_bytes == self._total_bytes:
            self._last_s = now_s
            self._progress(done_bytes, self._total_bytes)

    def close_file(self, size_bytes: int) -> None:
        """The present file is whole."""
        self._closed_bytes += size_bytes


def _require_room(repo: str, files: Mapping[str, HubFile]) -> None:
    """Raise CheckpointError where the disk is too small for what is missing."""
    folder = repo_folder(repo)
    folder.mkdir(parents=True, exist_ok=True)
    missing_bytes = sum(hub_transfer.count_missing_bytes(repo, file) for file in files.values())
    free_bytes = shutil.disk_usage(folder).free
    if missing_bytes > free_bytes:
        raise _no_room(folder, missing_bytes, free_bytes)


def _no_room(folder: Path, missing_bytes: int, free_bytes: int) -> CheckpointError:
    return CheckpointError(
        f"{folder}: what is missing of the checkpoint has {-(-missing_bytes // MIB)} MiB, and its disk has room for "
        f"{free_bytes // MIB}. Make room, or set HF_HUB_CACHE to a folder on another disk."
    )
