"""Who makes which node at present, so that nobody makes it a second time meanwhile.

A lease is a file `<root>/.leases/<stage>-<key>.json`: its holder, what the holder reads, and a count that the holder
raises every few seconds. The holder also has flock on it. A run has one more, of all that it is going to make and read.
Nothing that is published depends on leases: where one fails, two make the same artifact, and the first of them stays.

Who wants a lease that another has looks at it again and again, until

- it is gone, or empty: it was given back;
- its holder was a process of this machine, and the lock is free: that process has ended;
- its text has been the same at so many looks that its holder counts as dead, or as stopped for good: that of another
  machine, of which no lock is seen here, or one on a file system without locks.

Looks are counted, and no clock decides: one that is wrong changes nothing, and a process that was stopped itself, or
waited for a file server, does not take that time for the holder's.
"""

import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from stages.errors import StoreError
from stages.keys import ArtifactId, Key, Node
from stages.machine.file_lock import open_lock, open_present_lock, try_lock
from stages.machine.holder import Holder
from stages.machine.regular_files import read_regular
from stages.store.held_lease import Held
from stages.store.layout import LEASES
from stages.store.lease_file import MAX_BYTES, RUN, Lease, give_back, is_at, is_of, size_of, write_lease
from stages.store.sharing import lock_mode, make_folder

_SUFFIX = ".json"
_BEAT_S = 2.0  # between two counts
_LOOK_S = 0.25  # between two looks
_PATIENCE_S = 30.0  # of looks at the same text; a holder that is stopped for less comes back to its lease
# Without locks: how long after writing it a lease is one's own if nobody else has written meanwhile.
_SETTLE_S = 0.5


@dataclass(frozen=True)
class Leases:
    """The leases of a store, for any number of processes, threads, users and hosts.

    Attributes:
        root: the store's folder.
        beat_s, look_s, patience_s: seconds between two counts of a holder, between two looks of one who waits, and of
            looks at the same text until the holder counts as dead.
    """

    root: Path
    beat_s: float = _BEAT_S
    look_s: float = _LOOK_S
    patience_s: float = _PATIENCE_S

    @contextmanager
    def hold(
        self,
        node: Node,
        reads: Collection[ArtifactId],
        *,
        group: str = "",
        wait: Callable[[Holder | None, float], None],
        is_at_work: Callable[[], bool] = lambda: True,
    ) -> Iterator[Holder | None]:
        """Have the lease of a node for the time of the block; hosts of one group have it together.

        Args:
            node: what is to be made.
            reads: all that it is made from.
            group: as in Lease.
            wait: called at each look but the first while another has the lease: with the holder, None where the file
                does not say who it is, and the seconds of waiting so far. What it raises ends the waiting.
            is_at_work: asked before each count; the lease is not renewed while the work stands still.
        Yields:
            Who had it before, if it had to be waited for.
        Raises:
            OSError: a lease cannot be written.
        """
        make_folder(self.root / LEASES, self.root)
        lease = Lease(Holder.here(), node.artifact, tuple(reads), group, is_locked=True)
        watch, before, start = _Watch(), None, time.monotonic()
        while (held := self._take(lease, watch, is_at_work)) is None:
            seen = Lease.from_json(watch.text or b"")
            before = seen.holder if seen else before
            if watch.num_looks > 1:  # at the first another may only have been looking, too
                wait(before, time.monotonic() - start)
            time.sleep(self.look_s)
        with held:
            yield before

    @contextmanager
    def hold_all(self, artifacts: Collection[ArtifactId]) -> Iterator[None]:
        """Say for the time of the block that a run is going to make or read these artifacts, so that none is deleted.

        It keeps nobody from making them.

        Raises:
            OSError: the lease cannot be written.
        """
        make_folder(self.root / LEASES, self.root)
        run = ArtifactId(RUN, Key(secrets.token_hex(16)))
        held = self._take(Lease(Holder.here(), run, tuple(artifacts), "", is_locked=True), _Watch(), lambda: True)
        with held or nullcontext():  # nobody else has one of this name
            yield

    def in_use(self) -> Mapping[ArtifactId, Holder]:
        """Artifacts that are made or read at present, and by whom. Takes as long, and raises the same, as `look`."""
        return self.look().users

    def look(self) -> "InUse":
        """Look at all leases, until it is known of each whether somebody has it; those that nobody has are deleted.

        Where another host has left a lease behind, this takes as long as its patience.

        Raises:
            StoreError: somebody has a lease that does not say what he uses.
            OSError: it cannot be known: a lease cannot be read, or nobody's not be deleted.
        """
        watches = {path: _Watch() for path in self.files()}
        found: dict[Path, Lease] = {}
        while watches:
            for path, watch in [*watches.items()]:
                if is_alive := self._is_alive(path, watch):
                    lease = Lease.from_json(watch.text or b"")
                    assert lease is not None  # or it would not be alive
                    found[path] = lease
                if is_alive is not None:
                    del watches[path]
            if watches:
                time.sleep(self.look_s)
        made = {lease.artifact: lease.holder for lease in found.values() if lease.artifact.stage != RUN}
        read = {each: lease.holder for lease in found.values() for each in lease.reads}
        return InUse(read | made, frozenset(found), made)

    def find_holder(self, artifact: ArtifactId) -> Holder | None:
        """Who has the lease of an artifact by what its file says, whether alive or not; None where it says nothing."""
        with suppress(OSError):
            lease = Lease.from_json(read_regular(self._path(artifact), MAX_BYTES))
            return lease.holder if lease else None
        return None

    def sweep(self) -> None:
        """Delete the leases of processes of this machine that have ended. Never raises, and never waits."""
        with suppress(OSError):
            for path in self._list():
                with suppress(OSError, StoreError):
                    self._is_alive(path, _Watch())

    def _path(self, artifact: ArtifactId) -> Path:
        return self.root / LEASES / f"{artifact.stage}-{artifact.key}{_SUFFIX}"

    def files(self) -> list[Path]:
        """The files of all leases, also of those whose holders have ended; at once. Raises OSError.

        Those that say nothing are left out: they were given back, or their holders have not read anything yet.
        """
        return [path for path in self._list() if size_of(path)]

    def _list(self) -> list[Path]:
        """All files in the place of leases, with those that say nothing. Raises OSError."""
        try:
            with os.scandir(self.root / LEASES) as entries:
                return sorted(Path(entry.path) for entry in entries if entry.name.endswith(_SUFFIX))
        except FileNotFoundError:
            return []

    def _take(
        self, lease: Lease, watch: "_Watch", is_at_work: Callable[[], bool]
    ) -> AbstractContextManager[object] | None:
        """The lease, to be given back; None when another has it or may have it, as `watch` has seen."""
        path = self._path(lease.artifact)
        with ExitStack() as stack:
            descriptor, is_locked = self._open(path)
            stack.callback(os.close, descriptor)
            watch.see(os.pread(descriptor, MAX_BYTES, 0))
            seen = Lease.from_json(watch.text or b"")
            if seen and seen.group and seen.group == lease.group:
                return nullcontext()
            if not self._is_free(watch, seen, is_locked=is_locked):
                return None
            lease = replace(lease, holder=Holder.here(), is_locked=bool(is_locked))
            write_lease(descriptor, lease.to_json(0))
            if not is_locked:
                time.sleep(_SETTLE_S)
                if not is_of(path, lease):
                    return None
            stack.pop_all()
        return Held(self.beat_s, path, descriptor, lease, is_at_work)

    def _open(self, path: Path) -> tuple[int, bool | None]:
        """The file of a lease under its name, which may be new, and whether it is locked now; as `try_lock`."""
        while True:
            descriptor = open_lock(path, mode=lock_mode(self.root))
            try:
                is_locked = try_lock(descriptor)
                if is_at(path, descriptor):
                    return descriptor, is_locked
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # it was given back in between

    def _is_free(self, watch: "_Watch", seen: Lease | None, *, is_locked: bool | None) -> bool:
        """Whether nobody has a lease, by the last look at it: whether its lock was free, and what it said."""
        if not watch.text and is_locked is not False:
            return True
        if watch.num_same * self.look_s >= self.patience_s:
            return True
        return bool(is_locked and seen and seen.is_locked and seen.holder.is_of_this_machine)

    def _is_alive(self, path: Path, watch: "_Watch") -> bool | None:
        """Whether somebody has a lease, by one more look at it; None when more looks will tell. Deletes it if not.

        Only of a file that is not there it is known at once that nobody has it. Raises as `look`.
        """
        with ExitStack() as stack:
            try:
                descriptor = open_present_lock(path)
            except FileNotFoundError:
                return False
            stack.callback(os.close, descriptor)
            is_locked = try_lock(descriptor)
            watch.see(os.pread(descriptor, MAX_BYTES, 0))
            seen = Lease.from_json(watch.text or b"")
            if seen and (is_locked is False or watch.has_changed):
                return True
            if is_locked is False:  # it is just being written, or another looks at it, too
                self._require_text(path, watch)
                return None
            if not self._is_free(watch, seen, is_locked=is_locked):
                return None
            if is_at(path, descriptor):
                give_back(path, descriptor)
        return False

    def _require_text(self, path: Path, watch: "_Watch") -> None:
        """Raise StoreError where a lease that somebody has locked has said nothing for so long that it never will."""
        if watch.num_same * self.look_s >= self.patience_s:
            raise StoreError(
                f"{path}: is locked by a process, and does not say what that process uses. End the process that "
                "`lsof` or `fuser` names for it, or delete the file if nothing is being made."
            )


@dataclass(frozen=True)
class InUse:
    """Who was at work when all leases had been looked at.

    Attributes:
        users: artifacts that are made or read, and by whom.
        leases: files of the leases that say so. The key of what is made decides what is read, so whoever has a lease of
            the same name later uses nothing else.
        made: artifacts that are made, and by whom.
    """

    users: Mapping[ArtifactId, Holder]
    leases: Collection[Path]
    made: Mapping[ArtifactId, Holder] = field(default_factory=dict)


@dataclass
class _Watch:
    """A lease of another, look by look: what it says, and at how many looks it has said the same since it changed."""

    text: bytes | None = None
    num_looks: int = 0
    num_same: int = 0
    has_changed: bool = False

    def see(self, text: bytes) -> None:
        self.has_changed |= self.text not in (None, text)
        self.num_same = self.num_same + 1 if text == self.text else 0
        self.num_looks += 1
        self.text = text
