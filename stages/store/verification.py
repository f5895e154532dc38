"""Verification of a store: every file of artifacts is read and compared with what was noted when it was published.

Owns what is read, in threads, and how what is damaged is marked, so that the next run makes it again. What a payload
is compared with in every run is in payloads.py.
"""

import json
import os
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from stages.errors import StoreError
from stages.keys import ArtifactId, digest_bytes
from stages.machine.regular_files import digest_file
from stages.store.artifacts import Store, forget_artifact
from stages.store.inventory import artifacts_of_stage, list_artifacts
from stages.store.layout import ANSWERS
from stages.store.manifest import MANIFEST, NOTE, RUN, Manifest
from stages.store.payloads import Stamp, keep_note, read_note, stamp_of

DAMAGED_RUN = "run.damaged.json"  # where a damaged run.json is put aside: nothing depends on it
_MAX_THREADS = 8  # more than disks that are read at a time gain from
_MAX_LOOKS = 3  # at an artifact that is replaced while it is read

Seen: TypeAlias = tuple[Stamp | None, ...]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file of an artifact: its name, and a sentence without a full stop."""

    name: str
    message: str


@dataclass(frozen=True)
class Damage:
    """What is wrong with an artifact.

    Attributes:
        artifact: which one.
        faults: one for each damaged file.
        seen: what the files were when they were read.
    """

    artifact: ArtifactId
    faults: tuple[Fault, ...]
    seen: Seen

    @property
    def is_lost(self) -> bool:
        """Whether the result is damaged; otherwise only what says how it was made, or that it was read."""
        return any(fault.name not in (RUN, NOTE) for fault in self.faults)


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        whole: artifacts of which every file is what it was.
        damaged: the others.
        missing: artifacts that are not there, that `doit gc` has collected, or that are to be made again anyway.
        size_bytes: that were read of payloads.
    """

    whole: tuple[ArtifactId, ...]
    damaged: tuple[Damage, ...]
    missing: tuple[ArtifactId, ...]
    size_bytes: int


def find_artifacts(root: Path) -> list[ArtifactId]:
    """All artifacts in a store's folder, whatever made them, also answers of `doit preflight`. Raises OSError."""
    return [artifact for _, artifact in (*list_artifacts(root), *artifacts_of_stage(root / ANSWERS))]


def verify(
    store: Store,
    artifacts: Collection[ArtifactId],
    observe: Callable[[int, int], None] = lambda _done, _total: None,
) -> Verified:
    """Read artifacts and compare them, several at a time.

    What has been read and is whole is noted as far as the store can be written; nothing else is changed.

    Args:
        store: where they are.
        artifacts: which ones.
        observe: called with bytes of payloads that have been read, and that will be; by any thread, one at a time.
    """
    reading = _Reading(store, observe)
    sizes = {artifact: reading.size_bytes(artifact) for artifact in artifacts}
    present = [artifact for artifact in artifacts if sizes[artifact] is not None]
    present.sort(key=lambda artifact: -(sizes[artifact] or 0))  # so that no large one is begun when all else is done
    reading.total_bytes = sum(sizes[artifact] or 0 for artifact in present)
    reading.observe_bytes(0)
    with ThreadPoolExecutor(min(_MAX_THREADS, 2 * (os.cpu_count() or 1))) as pool:
        try:
            found = dict(zip(present, pool.map(reading.look, present), strict=True))
        except BaseException:
            reading.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Verified(
        whole=tuple(artifact for artifact in artifacts if artifact in found and found[artifact] is None),
        damaged=tuple(damage for artifact in artifacts if (damage := found.get(artifact)) is not None),
        missing=tuple(artifact for artifact in artifacts if artifact not in found),
        size_bytes=reading.done_bytes,
    )


def mark(store: Store, damaged: Collection[Damage]) -> dict[ArtifactId, str]:
    """Have damaged artifacts made again by the next run, and put aside what only says how they were made.

    Returns:
        Why, of those that could not be marked.
    """
    refused = {}
    for damage in damaged:
        try:
            with store.exclusive():
                if damage.seen == _see(store, damage.artifact):  # else it was made again meanwhile
                    _mark(store.folder(damage.artifact), damage)
        except OSError as error:
            refused[damage.artifact] = error.strerror or type(error).__name__
    return refused


def _mark(folder: Path, damage: Damage) -> None:
    names = {fault.name for fault in damage.faults}
    if names - {MANIFEST, RUN, NOTE}:
        forget_artifact(folder)  # a damaged manifest needs no mark: it counts as none
        return
    with suppress(FileNotFoundError):
        if RUN in names:
            (folder / RUN).replace(folder / DAMAGED_RUN)
    (folder / NOTE).unlink(missing_ok=True)  # it is written anew when the payload is read


def _see(store: Store, artifact: ArtifactId) -> Seen:
    """What an artifact's files are at present."""
    folder = store.folder(artifact)
    names = [MANIFEST, RUN, NOTE]
    with suppress(StoreError):
        if manifest := store.manifest(artifact):
            names.append(manifest.payload)
    return tuple(stamp_of(folder / name) for name in names)


class _StoppedError(Exception):
    """Nobody waits for the result any more."""


class _Reading:
    """One verification, shared by its threads."""

    def __init__(self, store: Store, observe: Callable[[int, int], None]) -> None:
        self._store = store
        self._observe = observe
        self._lock = threading.Lock()
        self._is_stopped = False
        self.done_bytes = self.total_bytes = 0

    def stop(self) -> None:
        self._is_stopped = True

    def observe_bytes(self, size_bytes: int) -> None:
        """Count what a thread has read."""
        if self._is_stopped:
            raise _StoppedError
        with self._lock:
            self.done_bytes += size_bytes
            self._observe(self.done_bytes, max(self.total_bytes, self.done_bytes))

    def size_bytes(self, artifact: ArtifactId) -> int | None:
        """Bytes that are to be read; None of an artifact that is not there, or of which only the record is."""
        try:
            manifest = self._store.manifest(artifact)
        except StoreError:
            return 0
        if manifest is None:
            return None
        is_there = stamp_of(self._store.folder(artifact) / manifest.payload) is not None
        return manifest.size_bytes if is_there or not self._store.is_collected(artifact) else None

    def look(self, artifact: ArtifactId) -> Damage | None:
        """What is wrong with an artifact."""
        for _ in range(_MAX_LOOKS):
            seen = _see(self._store, artifact)
            damage = self._look_once(artifact, seen)
            if damage is None or _see(self._store, artifact) == seen:
                break
        return damage

    def _look_once(self, artifact: ArtifactId, seen: Seen) -> Damage | None:
        folder = self._store.folder(artifact)
        try:
            manifest = self._store.manifest(artifact)
        except StoreError as error:
            return Damage(artifact, (Fault(MANIFEST, str(error).partition(". Run `doit`")[0]),), seen)
        if manifest is None:
            return None  # removed or forgotten meanwhile
        path = folder / manifest.payload
        stamp = stamp_of(path)
        faults = [*self._find_fault(path, stamp, manifest), *_find_faults_of_notes(folder, manifest)]
        if faults:
            return Damage(artifact, tuple(faults), seen)
        if stamp is not None and stamp_of(path) == stamp:
            keep_note(folder, manifest.digest, stamp)
        return None

    def _find_fault(self, path: Path, stamp: Stamp | None, manifest: Manifest) -> Iterator[Fault]:
        """What is wrong with a payload, all of which is read."""
        if stamp is None:
            yield Fault(path.name, f"{path}: is not there")
        elif stamp[0] != manifest.size_bytes:
            yield Fault(path.name, f"{path}: has {stamp[0]} bytes, the manifest says {manifest.size_bytes}")
        else:
            try:
                digest = digest_file(path, self.observe_bytes)
            except OSError as error:
                yield Fault(path.name, f"{path}: cannot be read ({error.strerror})")
                return
            if digest != manifest.digest:
                yield Fault(path.name, f"{path}: xxh3 is {digest}, the manifest says {manifest.digest}")


def _find_faults_of_notes(folder: Path, manifest: Manifest) -> Iterator[Fault]:
    """What is wrong with the files that nothing depends on."""
    note = None
    try:
        note = read_note(folder)
    except ValueError as error:
        yield Fault(NOTE, f"{folder / NOTE}: is damaged ({error}); it only says that the result was whole")
    path = folder / RUN
    if stamp_of(path) is None:
        return  # somebody has taken it away
    try:
        content = path.read_bytes()
        is_whole = isinstance(json.loads(content), dict)
    except (OSError, ValueError, RecursionError):
        is_whole = False
    else:
        if note is not None and note.digest == manifest.digest:
            is_whole = note.run in ("", digest_bytes(content))
    if not is_whole:
        yield Fault(RUN, f"{path}: is not what was written; it only says how the result was made")
