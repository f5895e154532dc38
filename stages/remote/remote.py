"""The remote store of a project: what it has of a node, fetching it, and putting there what was made here.

Nothing depends on it: where it does not answer, it has nothing, one message says why, and work goes on without it.
What is fetched takes the way of what is made: a draft, synced and renamed.
"""

import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from stages.errors import RemoteError, StoreError
from stages.keys import ArtifactId, Digest, JsonValue, Node
from stages.remote.address import Address
from stages.remote.bucket import Bucket
from stages.remote.catalog import Catalog, Found
from stages.remote.download import PayloadError, clear, download, incoming
from stages.remote.entry import Entry
from stages.remote.layout import name_use, variant_of
from stages.remote.policy import Policy
from stages.remote.upload import Pushed, read_local, upload
from stages.store.artifacts import Store
from stages.store.layout import REFUSED
from stages.store.records import RECORDED, add_origin
from stages.store.sharing import make_folder

_FETCHED = "fetched"  # in run.json: from where; else as its maker wrote it


class RemoteStore:
    """A remote store beside a store. Opens nothing before it is asked. May be used by several threads."""

    def __init__(
        self,
        address: Address,
        store: Store,
        policy: Policy,
        *,
        open_bucket: Callable[[Address], Bucket],
        warn: Callable[[str], None],
    ) -> None:
        """Ask nothing.

        Args:
            address: where it is.
            store: beside which it is.
            policy: what passes between the two.
            open_bucket: opens the bucket, when it is first needed.
            warn: shows the message that it cannot be used, once.
        """
        self.address = address
        self.policy = policy
        self._store = store
        self._open_bucket = open_bucket
        self._warn = warn
        self._opening = threading.Lock()
        self._catalog: Catalog | None = None
        self._fault = ""
        self._is_required = False
        self._is_silent = False

    @property
    def fault(self) -> str:
        """Why it has not been asked any more; "" while it answers."""
        return self._fault

    @property
    def bucket(self) -> Bucket:
        """Where it is; nothing is asked. Raises RemoteError."""
        with self._opening:
            return self._open_bucket(self.address) if self._catalog is None else self._catalog.bucket

    @property
    def catalog(self) -> Catalog:
        """What it has. Raises RemoteError."""
        with self._opening:
            if self._catalog is None:
                self._catalog = Catalog(self._open_bucket(self.address), self._tell_of_damage)
                self._catalog.names()
            return self._catalog

    def require(self) -> None:
        """From now on, that it does not answer is an error: RemoteError."""
        self._is_required = True

    def prepare(self, wanted: Iterable[tuple[ArtifactId, Digest]]) -> None:
        """Read what `find` will be asked for, several at a time."""
        if not self._fault:
            try:
                self.catalog.prepare(wanted)
            except RemoteError as error:
                self.give_up(error)

    def find(self, artifact: ArtifactId, variant: Digest) -> Found | None:
        """One variant of an artifact, if it is there, and the remote store answers."""
        if self._fault:
            return None
        try:
            return self.catalog.find(artifact, variant)
        except RemoteError as error:
            self.give_up(error)
        return None

    def give_up(self, error: RemoteError) -> None:
        """Ask it nothing more, and say why, once. Raises RemoteError: it is required."""
        if self._is_required:
            raise error
        with self._opening:
            is_first, self._fault = not self._fault, self._fault or str(error)
        if is_first:
            self._warn(f"{self._fault.removesuffix('.')}. Work goes on without it.")

    def _tell_of_damage(self, message: str) -> None:
        if not self._is_required:  # who requires it says by himself what is damaged
            self._warn(f"{self.address}: {message}")

    def record(self, node: Node, found: Found, *, is_missing: Callable[[], bool]) -> None:
        """Put down in the store what an artifact is, without its payload.

        `is_missing` says whether the store needs it. It is asked once the draft has begun: what another run publishes
        before that is seen by it, and what is published later by the store.
        """
        entry = found.entry
        with self._store.draft(node) as draft:
            if is_missing():
                self._store.publish_record(draft, entry.manifest, add_origin(entry.run, str(self.address)))

    def fetch(self, node: Node, found: Found, observe: Callable[[int, int], None]) -> int:
        """Have an artifact with its payload.

        Args:
            node: whose it is.
            found: as `find` gave it.
            observe: called with the bytes that are here, and all of them.
        Returns:
            Bytes that came over the network.
        Raises:
            PayloadError: it is not there, or what is there is damaged, which is kept aside.
            RemoteError: the remote store does not answer. Of what has come, the next attempt goes on.
            StoreError: the store cannot take it.
        """
        try:
            return self._fetch(node, found, observe)
        except OSError as error:
            where = error.filename or self._store.root
            raise StoreError(f"{where}: {error.strerror}. Fix that and run it again.") from error

    def _fetch(self, node: Node, found: Found, observe: Callable[[int, int], None]) -> int:
        entry, counter = found.entry, _Counter(observe, found.entry.manifest.size_bytes)
        with self._store.draft(node) as draft, incoming(self._store.root, entry, draft.parent) as folder:
            try:
                file, digest = download(self.catalog.bucket, entry, folder, counter.add)
                if digest != entry.manifest.digest:
                    raise self._refuse(file, entry, digest)
            except RemoteError:
                self.catalog.drop(found.name)
                raise
            file.rename(draft / entry.manifest.payload)
            run: dict[str, JsonValue] = {**entry.run, _FETCHED: str(self.address)}
            self._store.publish_copy(draft, entry.manifest, run)
            if folder != draft.parent:
                clear(folder)
        self._note_use(entry)
        return counter.num_bytes

    def _note_use(self, entry: Entry) -> None:
        """Say there that an artifact is of use; who may not say so only reads."""
        if self.policy.is_read_only or self._is_silent:
            return
        try:
            self.catalog.bucket.put(name_use(entry.manifest.node.artifact, variant_of(entry.manifest)), b"")
        except RemoteError:
            self._is_silent = True

    def push(
        self,
        artifact: ArtifactId,
        observe: Callable[[int], None] = lambda _num_bytes: None,
        *,
        is_whole: bool | None = None,
    ) -> Pushed:
        """Put an artifact of the store there.

        Args:
            artifact: which one.
            observe: sees the number of bytes of each part that is there.
            is_whole: with its payload; None: by the policy.
        Returns:
            What it did; where the remote store has not answered before, it is not asked again.
        Raises:
            RemoteError: the remote store does not take it.
            BeingCollectedError: a collector is deleting just that there.
            StoreError: it is damaged, or gone.
        """
        if self._fault:
            raise RemoteError(self._fault)
        manifest = self._store.present_manifest(artifact)
        folder = self._store.folder(artifact)
        is_whole = self.policy.is_pushed_whole(manifest) if is_whole is None else is_whole
        entry = read_local(folder, manifest, but=(_FETCHED, RECORDED))
        pushed = upload(
            self.catalog.bucket,
            self.catalog,
            folder,
            entry,
            observe,
            is_whole=is_whole,
            is_refused=self._is_refused,
        )
        if is_whole:
            shutil.rmtree(self._refused(manifest.digest), ignore_errors=True)
        return pushed

    def _refused(self, digest: Digest) -> Path:
        return self._store.root / REFUSED / digest

    def _is_refused(self, digest: Digest) -> bool:
        with suppress(OSError):
            return any(self._refused(digest).iterdir())  # not only a folder that a `doit gc` has emptied
        return False

    def _refuse(self, file: Path, entry: Entry, digest: Digest) -> PayloadError:
        """Keep aside what is not what its manifest says; the error that says so."""
        aside = self._refused(entry.manifest.digest)
        make_folder(aside, self._store.root)
        kept = aside / entry.manifest.payload
        file.rename(kept)
        clear(file.parent)
        return PayloadError(
            f"{self.address}: what it has of {entry.manifest.node.title} is refused: xxh3 is {digest}, its manifest "
            f"says {entry.manifest.digest}. It is kept in {kept}."
        )


class _Counter:
    """Bytes that have come, from several threads."""

    def __init__(self, observe: Callable[[int, int], None], total_bytes: int) -> None:
        self._observe, self._total_bytes = observe, total_bytes
        self._lock = threading.Lock()
        self._is_first = True
        self._done_bytes = 0
        self.num_bytes = 0

    def add(self, num_bytes: int) -> None:
        """So many more; the first call says what is there already. Below zero: so many come once more."""
        with self._lock:
            self._done_bytes += num_bytes
            self.num_bytes += 0 if self._is_first else max(num_bytes, 0)
            self._is_first = False
            done_bytes = self._done_bytes
        self._observe(done_bytes, self._total_bytes)
