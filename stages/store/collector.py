"""Deletes what collection.py has planned, while others build, read, pin and collect in the same store.

Each step is one that a crash cannot split, and looks again under the store's lock at what could have changed since the
plan was made: an artifact that was used, made again, pinned, or is in use now, stays. Needs no room on the disk.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from stages.keys import ArtifactId
from stages.store.collection import Plan
from stages.store.drafts import Drafts, sync
from stages.store.inventory import Entry, Inventory, list_artifacts, read_entry
from stages.store.leases import InUse
from stages.store.manifest import COLLECTED, DAMAGED_RUN, FORGOTTEN, MANIFEST, NOTE, RUN
from stages.store.partial import KeptState, PartialStates
from stages.store.pins import Pins

_PER_LOCK = 100  # records that are deleted while others wait for the lock: some milliseconds


@runtime_checkable
class Uses(Protocol):
    """Who is at work in a store: what `leases.Leases` says."""

    def look(self) -> InUse:
        """What is made or read at present. May take seconds. Raises StoreError or OSError: that cannot be known."""

    def files(self) -> Collection[Path]:
        """A file for each node that somebody makes, or made when he was killed; at once. Raises OSError."""


@dataclass
class Collected:
    """What was deleted.

    Attributes:
        payloads: artifacts of which the payload was deleted, and its bytes.
        records: artifacts of which nothing is left.
        failures: artifacts of which something could not be deleted, and why.
    """

    payloads: dict[ArtifactId, int] = field(default_factory=dict)
    records: list[ArtifactId] = field(default_factory=list)
    failures: dict[ArtifactId, str] = field(default_factory=dict)


class Collector:
    """Carries out plans. Any number of collectors may be at work at a time."""

    def __init__(self, root: Path, inventory: Inventory, uses: Uses) -> None:
        """Nothing is looked at yet.

        Args:
            root: the store's folder.
            inventory: that from which the plan was made.
            uses: who is at work.
        """
        self._root = root
        self._inventory = inventory
        self._uses = uses
        self._pins = Pins(root)
        self._drafts = Drafts(root)
        self._kept: set[ArtifactId] = set()  # because of who is at work and what is pinned, by these files:
        self._known_leases: set[Path] = set()
        self._known_pins: set[tuple[Path, int, int]] = set()
        self._new: dict[ArtifactId, Entry | None] = {}  # artifacts that have appeared since the inventory

    def carry_out(self, plan: Plan) -> Collected:
        """Delete what the plan says, as far as it still may go.

        Raises:
            StoreError: a pin cannot be read.
            OSError: the store cannot be locked or read. What was deleted before stays deleted.
        """
        done = Collected()
        for artifact in plan.payloads:
            with self._locked(), _noting(done, artifact):
                self._collect(artifact, done)
        for start in range(0, len(plan.records), _PER_LOCK):
            with self._locked():
                needed = self._find_needed()
                for artifact in plan.records[start : start + _PER_LOCK]:
                    with _noting(done, artifact):
                        self._drop(artifact, needed, done)
        return done

    def delete_partial(self, state: KeptState) -> bool:
        """Delete a partial state as it was found; False where it was written since, or somebody is at work on it.

        Raises:
            StoreError: as `carry_out`.
            OSError: likewise, or it cannot be deleted.
        """
        states = PartialStates(self._root)
        with self._locked():
            is_as_found = states.find(state.artifact) == state
            return is_as_found and state.artifact not in self._kept and states.remove(state.artifact)

    def mend(self) -> None:
        """Give artifacts that are whole their run.json back, where a gc was ended before it deleted the payload."""
        for artifact, entry in self._inventory.entries.items():
            if entry.is_marked and entry.payload_bytes is not None:
                with self._drafts.exclusive(), suppress(OSError):
                    entry_now = self._look_at(artifact)
                    if entry_now is not None and entry_now.payload_bytes is not None:
                        _unmark(self._folder(artifact))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store's lock, when it is known who is at work and what is pinned.

        Finding that out can take seconds, so nobody is kept waiting for it.
        """
        while True:
            self._look()
            with self._drafts.exclusive():
                if self._is_known():
                    yield
                    return

    def _look(self) -> None:
        if not self._is_known():
            versions = self._pins.versions()  # before they are read: what is written meanwhile is another version
            pinned = [artifact for pin in self._pins.read() for artifact in pin.artifacts]
            in_use = self._uses.look()
            self._kept |= self._inventory.ancestors([*pinned, *in_use.users])
            self._known_pins.update(versions)
            # Only leases that somebody has: one that was nobody's is gone, and under its name is a new one
            self._known_leases.update(in_use.leases)

    def _is_known(self) -> bool:
        return self._known_pins.issuperset(self._pins.versions()) and self._known_leases.issuperset(self._uses.files())

    def _collect(self, artifact: ArtifactId, done: Collected) -> None:
        entry, entry_now = self._inventory.entries[artifact], self._look_at(artifact)
        if artifact in self._kept or entry_now is None or entry_now.stamp != entry.stamp:
            return
        assert entry.manifest is not None  # or it would not be planned
        collect_payload(self._folder(artifact), entry.manifest.payload)
        done.payloads[artifact] = entry.payload_bytes or 0

    def _drop(self, artifact: ArtifactId, needed: Collection[ArtifactId], done: Collected) -> None:
        entry_now = self._look_at(artifact)
        readers = self._inventory.readers.get(artifact, ())  # those that may go have gone before
        if artifact in needed or entry_now is None or any((self._folder(each) / MANIFEST).exists() for each in readers):
            return
        is_record = entry_now.is_marked and entry_now.payload_bytes is None
        if is_record or entry_now.is_remnant:
            drop_record(self._folder(artifact))
            done.records.append(artifact)

    def _find_needed(self) -> set[ArtifactId]:
        """What stays because of who is at work, or because of what has been made since the inventory."""
        for folder, artifact in list_artifacts(self._root):
            if artifact not in self._inventory.entries and artifact not in self._new:
                self._new[artifact] = read_entry((folder, artifact))
        return self._kept | self._inventory.ancestors(
            read for entry in self._new.values() if entry is not None for read in entry.inputs
        )

    def _look_at(self, artifact: ArtifactId) -> Entry | None:
        """What it is now; None where it is gone, or its folder is a link, through which nothing is touched."""
        entry = read_entry((self._folder(artifact), artifact))
        return None if entry is None or entry.is_link else entry

    def _folder(self, artifact: ArtifactId) -> Path:
        return self._root / artifact.stage / artifact.key


def collect_payload(folder: Path, payload: str) -> None:
    """Delete an artifact's payload and keep the rest as a record. The caller has the store's lock.

    At each moment the artifact is whole, or a record. Raises OSError: it is as before.
    """
    try:
        (folder / RUN).rename(folder / COLLECTED)
    except FileNotFoundError:  # somebody has deleted it; that the mark is there is what counts
        (folder / COLLECTED).touch()
    try:
        sync(folder)  # before the payload goes: without the mark it would be missed
        (folder / payload).unlink()
    except BaseException:
        _unmark(folder)
        raise
    (folder / NOTE).unlink(missing_ok=True)  # it was about the payload


def drop_record(folder: Path) -> None:
    """Delete what is left of a collected artifact. The caller has the store's lock. Other files in its folder stay."""
    notes = [path.name for path in folder.glob(f"{NOTE}*")]
    for name in (DAMAGED_RUN, MANIFEST, FORGOTTEN, *notes, COLLECTED):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # somebody keeps files of his own there
        folder.rmdir()


def _unmark(folder: Path) -> None:
    if not (folder / RUN).exists():
        (folder / COLLECTED).rename(folder / RUN)


@contextmanager
def _noting(done: Collected, artifact: ArtifactId) -> Iterator[None]:
    """Note why something cannot be deleted, and go on with the others."""
    try:
        yield
    except OSError as error:
        done.failures[artifact] = error.strerror or str(error)
