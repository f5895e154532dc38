"""Who makes which node at present, so that nobody makes it a second time meanwhile.

A lease is a file `<root>/.leases/<stage>-<key>.json`: its holder, what the holder reads, and a count that the holder
raises every few seconds. The holder also has flock on it. Nothing that is published depends on leases: where one fails,
two make the same artifact, and the first of them stays.

Who wants a lease that another has looks at it again and again, until

- it is gone, or empty: it was given back;
- its holder was a process of this machine, and the lock is free: that process has ended;
- its text has been the same at so many looks that its holder counts as dead, or as stopped for good: that of another
  machine, of which no lock is seen here, or one on a file system without locks.

Looks are counted, and no clock decides: one that is wrong changes nothing, and a process that was stopped itself, or
waited for a file server, does not take that time for the holder's.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from stages.keys import ArtifactId, Node
from stages.machine.file_lock import open_lock, open_present_lock, try_lock
from stages.machine.holder import Holder
from stages.store.lease_file import Lease, is_at, is_of, write_lease
from stages.store.sharing import lock_mode, make_folder

_FOLDER = ".leases"
_SUFFIX = ".json"
_MAX_BYTES = 1 << 16  # of a lease; some hundred for each artifact that is read
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
        make_folder(self.root / _FOLDER, self.root)
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

    def in_use(self) -> Mapping[ArtifactId, Holder]:
        """Artifacts that are made or read at present, and by whom.

        Where another host has left a lease behind, this takes as long as its patience, and deletes it.
        """
        watches = {path: _Watch() for path in self.files()}
        users: dict[ArtifactId, Holder] = {}
        while watches:
            for path, watch in [*watches.items()]:
                is_alive = self._is_alive(path, watch)
                lease = Lease.from_json(watch.text or b"")
                if is_alive and lease:
                    users |= dict.fromkeys((*lease.reads, lease.artifact), lease.holder)
                if is_alive is not None:
                    del watches[path]
            if watches:
                time.sleep(self.look_s)
        return users

    def sweep(self) -> None:
        """Delete the leases of processes of this machine that have ended. Never raises, and never waits."""
        for path in self.files():
            self._is_alive(path, _Watch())

    def _path(self, artifact: ArtifactId) -> Path:
        return self.root / _FOLDER / f"{artifact.stage}-{artifact.key}{_SUFFIX}"

    def files(self) -> list[Path]:
        """The files of all leases, also of those whose holders have ended; at once."""
        try:
            return sorted((self.root / _FOLDER).glob(f"*{_SUFFIX}"))
        except OSError:
            return []

    def _take(
        self, lease: Lease, watch: "_Watch", is_at_work: Callable[[], bool]
    ) -> AbstractContextManager[object] | None:
        """The lease, to be given back; None when another has it or may have it, as `watch` has seen."""
        path = self._path(lease.artifact)
        with ExitStack() as stack:
            descriptor = open_lock(path, mode=lock_mode(self.root))
            stack.callback(os.close, descriptor)
            is_locked = try_lock(descriptor)
            if not is_at(path, descriptor):  # it was given back in between
                return self._take(lease, watch, is_at_work)
            watch.see(os.pread(descriptor, _MAX_BYTES, 0))
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
        return _Held(self.beat_s, path, descriptor, lease, is_at_work)

    def _is_free(self, watch: "_Watch", seen: Lease | None, *, is_locked: bool | None) -> bool:
        """Whether nobody has a lease, by the last look at it: whether its lock was free, and what it said."""
        if not watch.text and is_locked is not False:
            return True
        if watch.num_same * self.look_s >= self.patience_s:
            return True
        return bool(is_locked and seen and seen.is_locked and seen.holder.is_of_this_machine)

    def _is_alive(self, path: Path, watch: "_Watch") -> bool | None:
        """Whether somebody has a lease, by one more look at it; None when more looks will tell. Deletes it if not."""
        with suppress(OSError), ExitStack() as stack:
            descriptor = open_present_lock(path)
            stack.callback(os.close, descriptor)
            is_locked = try_lock(descriptor)
            watch.see(os.pread(descriptor, _MAX_BYTES, 0))
            if is_locked is False or watch.has_changed:
                return True
            if not self._is_free(watch, Lease.from_json(watch.text or b""), is_locked=is_locked):
                return None
            if is_at(path, descriptor):
                path.unlink()
        return False


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


class _Held:
    """A lease that this process has. A thread renews it until the block ends; then it is given back."""

    def __init__(
        self, beat_s: float, path: Path, descriptor: int, lease: Lease, is_at_work: Callable[[], bool]
    ) -> None:
        self._beat_s = beat_s
        self._path = path
        self._descriptor = descriptor
        self._lease = lease
        self._is_at_work = is_at_work
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        with suppress(OSError):
            if is_of(self._path, self._lease):
                self._give_back()
        os.close(self._descriptor)

    def _give_back(self) -> None:
        try:
            self._path.unlink()
        except PermissionError:  # another user's file in a sticky folder
            os.ftruncate(self._descriptor, 0)

    def _renew(self) -> None:
        count = 0
        while not self._is_over.wait(self._beat_s):
            with suppress(OSError):  # perhaps the next time; if there is none, others take the lease over
                if not is_of(self._path, self._lease):
                    return  # this process was stopped for so long that another has taken it over
                if self._is_at_work():
                    count += 1
                    write_lease(self._descriptor, self._lease.to_json(count))
