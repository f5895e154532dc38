"""A host's own store, beside a remote store: what a job reads is brought there, and what it makes is handed over.

Of one actor at a time. Compiled programs stay in it; artifacts go when they were handed over.
"""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from stages.errors import RemoteError, StageError, StoreError
from stages.fleet.errand import Errand
from stages.keys import ArtifactId
from stages.machine.file_lock import open_lock, try_lock
from stages.remote.address import read_address
from stages.remote.bucket import Bucket
from stages.remote.layout import name_entry, name_partial, variant_of
from stages.remote.object_storage import open_bucket
from stages.remote.policy import Policy
from stages.remote.remote import RemoteStore
from stages.run.job import Job
from stages.run.runner import Event, progress_in_mib
from stages.store.artifacts import Store
from stages.store.inventory import list_artifacts
from stages.store.layout import LOGS
from stages.store.partial import PartialStates

_CACHE: Final = "XDG_CACHE_HOME"  # in the environment; else ~/.cache
_FOLDER: Final = "hunyuan-stages/fleet"  # below it
_LOOK_S: Final = 2.0  # between two looks whether an unfinished node was saved again


@dataclass(frozen=True)
class OwnStore:
    """A store of a host.

    Attributes:
        store: itself.
        remote: by which the hosts of a fleet give artifacts to each other.
    """

    store: Store
    remote: RemoteStore

    @staticmethod
    def open(package: str, address: str) -> "OwnStore":
        """The first store of a program, on this host, that no other actor has; until this process ends.

        Args:
            package: of the program.
            address: of the remote store.
        Raises:
            StageError: there can be none.
        """
        folder = Path(os.environ.get(_CACHE) or "~/.cache").expanduser() / _FOLDER
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = next(root for number in itertools.count() if _lock(root := folder / f"{package}-{number}"))
        except OSError as error:
            raise StageError(
                f"{folder}: takes no store of this host ({error.strerror}). Set {_CACHE} for Ray on it to a folder "
                "that does."
            ) from error
        store = Store(root)
        remote = RemoteStore(read_address(address), store, Policy(), open_bucket=open_bucket, warn=print)
        remote.require()
        own = OwnStore(store, remote)
        own._clear()
        return own

    @property
    def logs(self) -> Path:
        """Where processes print."""
        return self.store.root / LOGS

    @contextmanager
    def made_here(
        self, errand: Errand, job: Job, observe: Callable[[Event], None]
    ) -> Iterator[tuple[Job, Callable[[], str]]]:
        """Have here what a job reads, for the time of the block.

        Yields:
            The job with this store; and what hands its result over, when it is done: it returns the name of the object
            that says what it is.
        Raises:
            RemoteError: the remote store does not give it.
            StoreError: the host's disk does not take it.
        """
        state = _SharedState(self.store.root, self.remote.catalog.bucket, job.node.artifact)
        own_job = replace(job, store=self.store.root)
        try:
            for name in errand.entries:
                self._bring(name, job, observe)
            if not errand.is_first:  # host 0 has the state, and hands the result over
                yield own_job, lambda: ""
                return
            state.bring()
            with state.followed():
                yield own_job, lambda: self._hand_over(job, observe)
            state.remove()
        finally:
            with suppress(OSError, StoreError):  # the next errand needs it no less, and says so
                self._clear()

    def _bring(self, name: str, job: Job, observe: Callable[[Event], None]) -> None:
        """Have an artifact here; of one that the job does not read itself, only what it is."""
        found = self.remote.catalog.read(name)
        if found is None:
            raise RemoteError(f"{self.remote.address}: {name} is gone. Run `doit` again: it makes that again.")
        node = found.entry.manifest.node
        if node.artifact not in job.node.input_artifacts:
            self.remote.record(node, found, is_missing=lambda: True)
            return
        observe({"event": "phase", "name": "fetching"})
        self.remote.fetch(node, found, lambda done, total: observe(progress_in_mib(done, total)))

    def _hand_over(self, job: Job, observe: Callable[[Event], None]) -> str:
        manifest = self.store.present_manifest(job.node.artifact)
        observe({"event": "phase", "name": "handing over"})
        done_bytes = 0

        def show(num_bytes: int) -> None:
            nonlocal done_bytes
            done_bytes += num_bytes
            observe(progress_in_mib(done_bytes, manifest.size_bytes))

        self.remote.push(job.node.artifact, show, is_whole=True)
        return name_entry(job.node.artifact, variant_of(manifest), is_whole=True)

    def _clear(self) -> None:
        """Delete all artifacts, and states of unfinished ones."""
        for _, artifact in list_artifacts(self.store.root):
            self.store.remove(artifact)
        states = PartialStates(self.store.root)
        for kept in states.find_all():
            states.remove(kept.artifact)
        self.store.sweep_drafts()


class _SharedState:
    """The state of a node that is being made, which is on the remote store, too: another host can go on from it."""

    def __init__(self, root: Path, bucket: Bucket, artifact: ArtifactId) -> None:
        self._states = PartialStates(root)
        self._bucket = bucket
        self._artifact = artifact
        self._name = name_partial(artifact)
        self._version: object = None  # of what the remote store has
        self._is_over = threading.Event()

    def bring(self) -> None:
        """Have here the state that is there, if there is one.

        Raises:
            RemoteError: the remote store does not answer.
            StoreError: the disk does not take it.
        """
        if (content := self._bucket.get(self._name)) is None:
            return
        try:
            self._states.write_file(self._artifact, content)
        except OSError as error:
            where = error.filename or self._states.folder(self._artifact)
            raise StoreError(
                f"{where}: {error.strerror}. Fix that, or set {_CACHE} for Ray to another folder."
            ) from error
        self._version = self._find_version()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Put the states of the block there, also the last one. That one cannot be put is no error."""
        following = threading.Thread(target=self._follow, daemon=True)
        following.start()
        try:
            yield
        finally:
            self._is_over.set()
            following.join()

    def remove(self) -> None:
        """Delete what is there: the node is finished."""
        if self._version is not None:
            with suppress(RemoteError):
                self._bucket.delete([self._name])

    def _follow(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._is_over.wait(_LOOK_S)
            version = self._find_version()
            if version is None or version == self._version:
                continue
            with suppress(RemoteError):
                if (content := self._states.read_file(self._artifact)) is not None:
                    self._bucket.put(self._name, content)
                    self._version = version

    def _find_version(self) -> object:
        kept = self._states.find(self._artifact)
        return None if kept is None else kept.version


def _lock(root: Path) -> bool:
    """Whether this process has a store from now on, until it ends. Raises OSError; StageError: nobody would know."""
    descriptor = open_lock(root.with_name(f"{root.name}.lock"))
    is_ours = try_lock(descriptor)
    if is_ours is None:
        raise StageError(
            f"{root.parent}: is on a file system without locks, so that actors would take the same store. Set {_CACHE} "
            "for Ray on this host to a folder on its own disk."
        )
    if not is_ours:
        os.close(descriptor)
    return is_ours
