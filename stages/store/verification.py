"""Verification of a store: every file of artifacts is read and compared with what was noted when it was published.

Owns what is read, in threads. How what is damaged is marked is in damage.py, and what a payload is compared with in
every run in payloads.py.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from stages.errors import StoreError, UnreadableError
from stages.keys import ArtifactId, Digest, digest_bytes
from stages.machine.json_files import decode_json, parse_json
from stages.machine.regular_files import digest_file, is_damage, read_regular
from stages.store.artifacts import Store
from stages.store.damage import Damage, Fault, Seen, see
from stages.store.inventory import artifacts_of_stage, list_artifacts
from stages.store.layout import ANSWERS
from stages.store.manifest import MANIFEST, NOTE, RUN, Manifest
from stages.store.payloads import Clock, Stamp, keep_note, read_note, stamp_of
from stages.store.records import recorded_from

_MAX_THREADS = 8  # more than disks that are read at a time gain from
_MAX_LOOKS = 3  # at an artifact that is replaced while it is read
_BYTES_PER_CALL = 1 << 24  # of the progress observer: some milliseconds of reading


@dataclass(frozen=True)
class Unread:
    """An artifact that cannot be read at present and may be whole, and the message that says why."""

    artifact: ArtifactId
    message: str


_Finding: TypeAlias = Damage | Unread | Literal["whole", "collected", "recorded", "missing"]


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        whole: artifacts of which every file is what it was.
        damaged: those of which one is not.
        unread: those of which one cannot be read.
        collected: those of which `doit gc` has deleted the payload.
        recorded: those that are known from a remote store, and whose payload was never here.
        missing: those that are not there, or that are to be made again anyway.
        size_bytes: that were read of payloads.
    """

    whole: tuple[ArtifactId, ...]
    damaged: tuple[Damage, ...]
    unread: tuple[Unread, ...]
    collected: tuple[ArtifactId, ...]
    recorded: tuple[ArtifactId, ...]
    missing: tuple[ArtifactId, ...]
    size_bytes: int


def find_artifacts(root: Path) -> list[ArtifactId]:
    """All artifacts in a store's folder, whatever made them, also answers of `doit preflight`. Raises OSError."""
    return [artifact for _, artifact in (*list_artifacts(root), *artifacts_of_stage(root / ANSWERS))]


def verify(
    store: Store,
    artifacts: Collection[ArtifactId],
    observe: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Clock = time.time_ns,
) -> Verified:
    """Read artifacts and compare them, several at a time.

    What has been read and is whole is noted as far as the store can be written; nothing else is changed.

    Args:
        store: where they are.
        artifacts: which ones.
        observe: called from time to time, and at the end, with bytes of payloads that have been read, and that will be;
            by any thread, one at a time.
        clock: says what is too young to be noted.
    """
    reading = _Reading(store, observe, clock)
    sizes = {artifact: reading.size_bytes(artifact) for artifact in artifacts}
    reading.total_bytes = sum(sizes.values())
    reading.observe_bytes(0)
    ordered = sorted(sizes, key=lambda artifact: -sizes[artifact])  # no large one is begun when all else is done
    with ThreadPoolExecutor(min(_MAX_THREADS, 2 * (os.cpu_count() or 1))) as pool:
        try:
            found = dict(zip(ordered, pool.map(reading.look, ordered), strict=True))
        except BaseException:
            reading.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    findings = [found[artifact] for artifact in artifacts]
    return Verified(
        whole=tuple(artifact for artifact in artifacts if found[artifact] == "whole"),
        damaged=tuple(finding for finding in findings if isinstance(finding, Damage)),
        unread=tuple(finding for finding in findings if isinstance(finding, Unread)),
        collected=tuple(artifact for artifact in artifacts if found[artifact] == "collected"),
        recorded=tuple(artifact for artifact in artifacts if found[artifact] == "recorded"),
        missing=tuple(artifact for artifact in artifacts if found[artifact] == "missing"),
        size_bytes=reading.done_bytes,
    )


class _StoppedError(Exception):
    """Nobody waits for the result any more."""


class _Reading:
    """One verification, shared by its threads."""

    def __init__(self, store: Store, observe: Callable[[int, int], None], clock: Clock) -> None:
        self._store = store
        self._observe = observe
        self._clock = clock
        self._lock = threading.Lock()
        self._is_stopped = False
        self.done_bytes = self.total_bytes = 0

    def stop(self) -> None:
        self._is_stopped = True

    def observe_bytes(self, size_bytes: int) -> None:
        """Count what a thread has read."""
        with self._lock:
            self.done_bytes += size_bytes
            self._observe(self.done_bytes, max(self.total_bytes, self.done_bytes))

    def size_bytes(self, artifact: ArtifactId) -> int:
        """Bytes that are to be read of an artifact, as far as is known."""
        try:
            manifest = self._store.manifest(artifact)
            is_there = manifest is not None and stamp_of(self._store.folder(artifact) / manifest.payload) is not None
        except StoreError:
            return 0
        return manifest.size_bytes if manifest is not None and is_there else 0

    def look(self, artifact: ArtifactId) -> _Finding:
        """What there is to say of an artifact."""
        for _ in range(_MAX_LOOKS):
            try:
                seen = see(self._store, artifact)
                finding = self._look_once(artifact, seen)
                if not isinstance(finding, Damage) or see(self._store, artifact) == seen:
                    break
            except UnreadableError as error:  # perhaps it was just being replaced, over a network
                finding = Unread(artifact, str(error))
        return finding

    def _look_once(self, artifact: ArtifactId, seen: Seen) -> _Finding:
        folder = self._store.folder(artifact)
        try:
            manifest = self._store.manifest(artifact)
        except UnreadableError:
            raise
        except StoreError as error:
            return Damage(artifact, (Fault(MANIFEST, str(error).partition(". Run `doit`")[0]),), seen)
        if manifest is None:
            return "missing"
        path = folder / manifest.payload
        stamp = stamp_of(path)
        if stamp is None and self._store.is_collected(artifact):
            return "recorded" if recorded_from(folder) else "collected"
        faults = [*self._find_fault(path, stamp, manifest)]
        try:
            faults += _find_faults_of_notes(folder, manifest)
        except UnreadableError:
            if not faults:
                raise
        if faults:
            return Damage(artifact, tuple(faults), seen)
        if stamp is not None and stamp_of(path) == stamp:
            keep_note(folder, manifest.digest, stamp, self._clock)
        return "whole"

    def _find_fault(self, path: Path, stamp: Stamp | None, manifest: Manifest) -> Iterator[Fault]:
        """What is wrong with a payload, all of which is read."""
        if stamp is None:
            yield Fault(path.name, f"{path}: is not there")
        elif stamp[0] != manifest.size_bytes:
            yield Fault(path.name, f"{path}: has {stamp[0]} bytes, the manifest says {manifest.size_bytes}")
        else:
            try:
                digest = self._digest(path)
            except OSError as error:
                if not is_damage(error):
                    raise UnreadableError(path, error) from error
                yield Fault(path.name, f"{path}: cannot be read ({error.strerror})")
                return
            if digest != manifest.digest:
                yield Fault(path.name, f"{path}: xxh3 is {digest}, the manifest says {manifest.digest}")

    def _digest(self, path: Path) -> Digest:
        """A file's digest; what is read is counted in large pieces, because all threads wait for the count."""
        uncounted = 0

        def count(size_bytes: int) -> None:
            nonlocal uncounted
            if self._is_stopped:
                raise _StoppedError
            uncounted += size_bytes
            if uncounted >= _BYTES_PER_CALL:
                counted, uncounted = uncounted, 0
                self.observe_bytes(counted)

        try:
            return digest_file(path, count)
        finally:
            if uncounted and not self._is_stopped:
                self.observe_bytes(uncounted)


def _find_faults_of_notes(folder: Path, manifest: Manifest) -> Iterator[Fault]:
    """What is wrong with the files that nothing depends on. Raises UnreadableError."""
    note = None
    try:
        note = read_note(folder)
    except ValueError as error:
        yield Fault(NOTE, f"{folder / NOTE}: is damaged ({error}); it only says that the result was whole")
    path = folder / RUN
    if stamp_of(path) is None:
        return  # somebody has taken it away
    try:
        content = read_regular(path)
        is_whole = isinstance(parse_json(decode_json(content)), dict)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and not is_damage(error):
            raise UnreadableError(path, error) from error
        is_whole = False
    else:
        if note is not None and note.digest == manifest.digest:
            is_whole = note.run in ("", digest_bytes(content))
    if not is_whole:
        yield Fault(RUN, f"{path}: is not what was written; it only says how the result was made")
