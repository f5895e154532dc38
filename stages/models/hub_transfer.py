"""Brings one file from the hub into its cache: goes on where an earlier try was cut, and keeps nothing unverified.

What has come so far lies in `blobs/<id>.incomplete`, as some releases of the hub's library have it; under its own name
a blob is whole, compared with its id and synced to disk. The library itself (2.4) begins anew after a cut, and compares
sizes only.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from stages.errors import CheckpointError
from stages.machine.credentials import hide_credentials
from stages.machine.file_lock import open_lock, try_lock
from stages.machine.regular_files import open_descriptor
from stages.models import hub_client
from stages.models.hub_cache import blob_path, place, repo_folder, snapshot_folder, start_hash
from stages.models.hub_listing import HubFile

_CHUNK_BYTES = 2**20
_LOOK_EVERY_S = 0.5  # at what another process has fetched meanwhile
_RANGE_START = re.compile(r"bytes (\d+)-")


def bring(repo: str, commit: str, path: str, file: HubFile, progress: Callable[[int], None]) -> None:
    """Bring a file into the cache; content that is there already gets its place in the snapshot.

    Args:
        repo, commit: of the hub.
        path: of the file in the commit.
        file: what the hub has listed for it.
        progress: called with the bytes of the file that are there.
    Raises:
        CheckpointError: what came is not what was listed; it has been thrown away.
        OSError: the cache cannot be written.
        Exception: of the hub's library: the hub does not give it.
    """
    blob = blob_path(repo, file.blob_id)
    blob.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(blob)
    with _excluding_others(repo, file.blob_id, lambda: progress(_size_of(partial))):
        if _size_of(blob) != file.size_bytes or not blob.is_file():
            _download(hub_client.file_url(repo, commit, path), partial, file, progress)
            partial.replace(blob)
        place(blob, snapshot_folder(repo, commit) / path)
    progress(file.size_bytes)


def count_missing_bytes(repo: str, file: HubFile) -> int:
    """How many bytes of a file have still to come."""
    blob = blob_path(repo, file.blob_id)
    if _size_of(blob) == file.size_bytes:
        return 0
    return max(0, file.size_bytes - _size_of(_partial(blob)))


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")


def _download(url: str, partial: Path, file: HubFile, progress: Callable[[int], None]) -> None:
    """Fill a partial file up to the whole, and verify it."""
    with os.fdopen(
        open_descriptor(partial, os.O_RDWR | os.O_CREAT), "r+b"
    ) as target:  # not for appending: a second writer would write the same at the same place
        content = _Content(target, url, file, progress)
        was_begun = content.num_bytes > 0
        content.complete()
        if not content.is_right and was_begun:
            content.start_over()  # what an earlier run left may have been damaged
            content.complete()
        if not content.is_right:
            content.start_over()
            raise CheckpointError(
                f"{hide_credentials(url)}: what comes is not what the hub lists: its hash is another. It was thrown "
                "away; nothing of it is in the cache. Run it again; if that does not help, what is between here and "
                "the hub changes files."
            )
        target.flush()  # else the last of it is not on its way to the disk
        os.fsync(target.fileno())


class AnswerCutShortError(hub_client.TransportError):  # type: ignore[valid-type,misc] # httpx is known when it runs
    """An answer has ended before the file."""


class _Content:
    """What has come of a file, in a partial file, and the hash of it."""

    def __init__(self, target: BinaryIO, url: str, file: HubFile, progress: Callable[[int], None]) -> None:
        self._target = target
        self._url = url
        self._file = file
        self._progress = progress
        self._hash = start_hash(file.blob_id, file.size_bytes)
        self.num_bytes = 0
        while self.num_bytes <= file.size_bytes and (chunk := target.read(_CHUNK_BYTES)):
            self._hash.update(chunk)
            self.num_bytes += len(chunk)
        if self.num_bytes > file.size_bytes:
            self.start_over()
        self._most_bytes = self.num_bytes
        progress(self.num_bytes)

    @property
    def is_right(self) -> bool:
        return self._hash.hexdigest() == self._file.blob_id

    def start_over(self) -> None:
        """Forget all that has come."""
        self._target.seek(0)
        self._target.truncate()
        self._hash = start_hash(self._file.blob_id, self._file.size_bytes)
        self.num_bytes = 0

    def complete(self) -> None:
        """Ask for what is missing, until it is there."""
        if self.num_bytes == self._file.size_bytes:
            return
        try:
            hub_client.receive(self._url, self._take, headers=self._range)
        except AnswerCutShortError:
            if self.num_bytes:
                raise
            raise self._wrong_size() from None  # it was always empty
        except HfHubHTTPError as failure:
            if failure.response.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            raise self._wrong_size(self.num_bytes) from failure

    def _range(self) -> dict[str, str]:
        return {"Range": f"bytes={self.num_bytes}-"} if self.num_bytes else {}

    def _take(self, response: Any, patience: hub_client.Patience) -> None:
        if response.status_code != HTTPStatus.PARTIAL_CONTENT:
            if response.headers.get("Content-Length", str(self._file.size_bytes)) != str(self._file.size_bytes):
                raise self._wrong_size(self.num_bytes)  # the page of a proxy, for example
            self.start_over()
        elif (start := _RANGE_START.match(response.headers.get("Content-Range", ""))) is None or int(
            start[1]
        ) != self.num_bytes:
            raise self._wrong_size(self.num_bytes)
        before_bytes = self.num_bytes
        for chunk in response.iter_bytes():  # as it comes: what waits for a full chunk would be lost in a cut
            if self.num_bytes + len(chunk) > self._file.size_bytes:
                raise self._wrong_size(before_bytes)
            self._target.write(chunk)
            self._hash.update(chunk)
            self.num_bytes += len(chunk)
            if self.num_bytes > self._most_bytes:  # where a hub ignores ranges, and cuts each time, it ends
                self._most_bytes = self.num_bytes
                patience.got_further()
            self._progress(self.num_bytes)
        if self.num_bytes < self._file.size_bytes:  # an answer without a length ends where the connection does
            raise AnswerCutShortError(f"the answer ended after {self.num_bytes} of {self._file.size_bytes} bytes")

    def _wrong_size(self, kept_bytes: int = 0) -> CheckpointError:
        """The error that an answer is that of another file; of what had come before it, so much stays."""
        self._target.truncate(kept_bytes)
        kept = (
            f"the {kept_bytes} bytes that had come before are kept" if kept_bytes else "nothing of it is in the cache"
        )
        return CheckpointError(
            f"{hide_credentials(self._url)}: what comes is not what the hub lists: it does not have "
            f"{self._file.size_bytes} bytes. It was thrown away; {kept}. Run it again; if that does not help, what is "
            "between here and the hub changes files."
        )


@contextmanager
def _excluding_others(repo: str, blob_id: str, look: Callable[[], None]) -> Iterator[None]:
    """Keep other processes from fetching the same; the hub's library takes the same lock. `look` while waiting."""
    path = Path(constants.HF_HUB_CACHE) / ".locks" / repo_folder(repo).name / f"{blob_id}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = open_lock(path)
    try:
        # without locks it costs bytes, no more: what two write at once is the same, and it is verified
        while try_lock(lock) is False:
            look()
            time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        os.close(lock)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
