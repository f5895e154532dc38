"""The artifact store: folders `<root>/<stage>/<key>/` of payload, manifest.json and run.json.

The store is the truth about what has been made. A folder under its final name is whole: it was written elsewhere,
synced to disk, then renamed. Any number of processes may use one store at a time. Owns publishing, verdicts,
forgetting and removing; knows nothing of doit.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from stages.errors import StoreError, UnreadableError
from stages.keys import ArtifactId, Digest, JsonValue, Node
from stages.machine.regular_files import digest_file
from stages.store.drafts import Drafts, sync
from stages.store.finished_draft import Published, complete_draft, complete_record, put_in_place
from stages.store.manifest import COLLECTED, FORGOTTEN, MANIFEST, Manifest
from stages.store.manifests import Manifests
from stages.store.partial import PartialStates
from stages.store.payloads import Clock, Payloads, Stamp, is_still, stamp_of
from stages.store.removal import delete_artifact, forget_artifact
from stages.store.sharing import share
from stages.store.verdict import Reason, Verdict

_NEW, _OLD = "new", "old"  # in a draft: the artifact that is being written, and what it has replaced


class Store:
    """The artifacts below one folder. Verdicts create nothing."""

    def __init__(
        self,
        root: Path,
        notify: Callable[[Path, int], None] = lambda _path, _size_bytes: None,
        clock: Clock = time.time_ns,
    ) -> None:
        """Open nothing.

        Args:
            root: is created when the first artifact is published.
            notify: called with a file and its bytes before a verdict reads one that takes long.
            clock: says what is too young to be remembered.
        """
        self.root = root
        self._drafts = Drafts(root)
        self._manifests = Manifests(root)
        self._seen: dict[Path, Stamp | None] = {}  # by draft: what was in its artifact's place when it was begun
        self._payloads = Payloads(notify, clock)

    def folder(self, artifact: ArtifactId) -> Path:
        """Where the artifact is or will be."""
        return self.root.joinpath(artifact.stage, artifact.key)

    def payload(self, artifact: ArtifactId) -> Path:
        """The file that the next stage reads.

        Raises:
            StoreError: as `present_manifest`, which names it.
        """
        return self.folder(artifact) / self.present_manifest(artifact).payload

    def manifest(self, artifact: ArtifactId) -> Manifest | None:
        """The artifact's manifest, or None when there is no such artifact.

        Raises:
            UnreadableError: it cannot be read, and may be whole.
            StoreError: it is damaged, or that of another artifact.
        """
        return self._manifests.find(artifact)

    def present_manifest(self, artifact: ArtifactId) -> Manifest:
        """The manifest of an artifact whose payload is there, also of one that is to be made again.

        Raises:
            StoreError: as `manifest`, or there is no such artifact.
        """
        manifest = self._manifests.find_present(artifact)
        if manifest is None:
            raise StoreError(f"{self.folder(artifact)}: was removed while it was in use. Run `doit` again.")
        return manifest

    def exclusive(self) -> AbstractContextManager[None]:
        """No artifact is renamed by others meanwhile: for what was seen between two renames."""
        return self._drafts.exclusive()

    def verdict(self, node: Node, code: Digest) -> Verdict:
        """Whether the node's artifact can stay, from the store alone.

        Bytes of the payload are read only if it is not the file that was published, by its size, times and inode.

        Raises:
            UnreadableError: a file that this depends on cannot be read, and may be whole.
        """
        with suppress(UnreadableError):
            verdict = self._judge(node, code)
            if verdict.is_fresh:
                return verdict
        # Perhaps it was seen between a writer's two renames: looked at again when nobody renames.
        with ExitStack() as stack:
            with suppress(OSError):  # what cannot be locked is looked at as it is
                stack.enter_context(self._drafts.shared())
            return self._judge(node, code)

    def _judge(self, node: Node, code: Digest) -> Verdict:
        try:
            manifest = self.manifest(node.artifact)
            if manifest is None:
                is_forgotten = stamp_of(f"{self.root}/{node.stage}/{node.key}/{FORGOTTEN}") is not None
                return Verdict("forgotten" if is_forgotten else "absent")
            size_bytes = self._payload_size(node.artifact, manifest)
            is_collected = size_bytes is None and self.is_collected(node.artifact)
            if size_bytes != manifest.size_bytes and not is_collected:
                return Verdict("corrupt", (Reason("payload", manifest.size_bytes, size_bytes),))
            reasons = self._changes(node, manifest, code)
        except UnreadableError:
            raise
        except StoreError as error:
            return Verdict("corrupt", (Reason("manifest", None, str(error)),))
        if reasons:
            return Verdict("stale", reasons)
        return Verdict("collected") if is_collected else self._judge_bytes(node, manifest)

    def _judge_bytes(self, node: Node, manifest: Manifest) -> Verdict:
        fault = self._payloads.find_fault(f"{self.root}/{node.stage}/{node.key}", manifest)
        return Verdict("fresh") if fault is None else Verdict("corrupt", (fault,))

    def is_collected(self, artifact: ArtifactId) -> bool:
        """Whether `doit gc` has deleted the payload, or was about to; otherwise, one that is missing is a fault.

        Raises:
            UnreadableError: that cannot be known.
        """
        return stamp_of(self.folder(artifact) / COLLECTED) is not None

    def _payload_size(self, artifact: ArtifactId, manifest: Manifest) -> int | None:
        """Bytes of the payload; None where it is not there."""
        stamp = stamp_of(f"{self.root}/{artifact.stage}/{artifact.key}/{manifest.payload}")
        return None if stamp is None else stamp[0]

    def _changes(self, node: Node, manifest: Manifest, code: Digest) -> tuple[Reason, ...]:
        reasons = [] if manifest.code == code else [Reason("code", manifest.code, code)]
        for artifact in node.input_artifacts:
            parent, before = self.manifest(artifact), manifest.inputs[artifact.stage].digest
            if parent is None or parent.digest != before:
                now = None if parent is None else parent.digest
                reasons.append(Reason(f"inputs.{artifact.stage}", before, now))
        return tuple(reasons)

    @contextmanager
    def draft(self, node: Node | None = None) -> Iterator[Path]:
        """A folder to write the payload into. It is removed afterwards, unless `publish` has moved it.

        Args:
            node: whose artifact it will be, so that `publish` knows what was there when the work began.
        """
        with self._drafts.new() as space:
            draft = space / _NEW
            draft.mkdir()
            share(draft, self.root)
            if node is not None:
                self._seen[draft] = self._stamp(node.artifact)
            try:
                yield draft
            finally:
                self._seen.pop(draft, None)

    def publish(
        self,
        node: Node,
        draft: Path,
        *,
        payload: str,
        inputs: Mapping[ArtifactId, Digest],
        code: Digest,
        run: Mapping[str, JsonValue],
    ) -> Published:
        """Make a finished draft the node's artifact, in one step that a crash cannot split.

        Args:
            draft: holds the payload; given by `draft`.
            payload: name of the payload's file.
            inputs: digests of their payloads, as `inputs.check_inputs` or `hold_inputs` gave them.
            code: fingerprint of the code that made it.
            run: what run.json shall say of this run.
        Returns:
            The manifest. Of equal artifacts that were being made at the same time the first stays. What has become of
            the inputs meanwhile does not count: the manifest says what was read, and the next verdict looks at it.
        """
        file = draft / payload
        size_bytes, digest = file.stat().st_size, digest_file(file)
        manifest = Manifest.of(node, inputs, code=code, payload=payload, size_bytes=size_bytes, digest=digest)
        return self._publish(draft, manifest, run)

    def publish_copy(self, draft: Path, manifest: Manifest, run: Mapping[str, JsonValue]) -> Published:
        """Make a draft that holds the payload of an artifact of another store that artifact, as `publish` does.

        Args:
            draft: holds the payload, which the caller has compared with the digest of the manifest; given by `draft`.
            manifest, run: those of the other store.
        """
        return self._publish(draft, manifest, run)

    def publish_record(self, draft: Path, manifest: Manifest, run: Mapping[str, JsonValue]) -> bool:
        """Put down what an artifact of another store is, without its payload: as if `doit gc` had collected it here.

        Nothing is synced: what a crash damages is put down again. False where another was published meanwhile.

        Args:
            draft: empty; given by `draft`, for the node.
            manifest, run: those of the other store.
        """
        complete_record(draft, manifest, run)
        artifact = manifest.node.artifact
        with self._drafts.exclusive():
            has_appeared = self._has_appeared(draft, artifact)
            if not has_appeared:
                put_in_place(draft, self.folder(artifact), old=draft.with_name(_OLD), root=self.root)
        return not has_appeared

    def _publish(self, draft: Path, manifest: Manifest, run: Mapping[str, JsonValue]) -> Published:
        """Give a draft, whose payload is that of the manifest, its name."""
        payload = manifest.payload
        complete_draft(draft, manifest, run)
        before = self._put_in_place(draft, manifest)
        for folder in (self.root / manifest.stage, self.root):  # the first may have been made just now
            sync(folder)
        if before is None or before.digest != manifest.digest:
            return Published(manifest, None if before is None else False)
        is_same = is_still(draft.with_name(_OLD) / payload, manifest.digest)  # where it was replaced
        return Published(manifest, is_same, was_damaged=is_same is False)

    def _put_in_place(self, draft: Path, manifest: Manifest) -> Manifest | None:
        """Give a whole draft its name, unless an equal one has appeared there; the manifest of what was there."""
        artifact = manifest.node.artifact
        with self._drafts.exclusive():
            before = self._before(artifact)
            is_there = before == manifest and self._payload_size(artifact, manifest) == manifest.size_bytes
            if not is_there or not self._has_appeared(draft, artifact):
                put_in_place(draft, self.folder(artifact), old=draft.with_name(_OLD), root=self.root)
        return before

    def forget(self, artifact: ArtifactId) -> bool:
        """Un-seal an artifact: the next run makes it again and compares the bytes. False when there is none."""
        return forget_artifact(self.folder(artifact))

    def remove(self, artifact: ArtifactId) -> bool:
        """Delete an artifact, never seen half-deleted, and its partial state. False when there is neither.

        What says that it is one goes first. Nothing is made or moved, so that a full disk can be freed.

        Raises:
            StoreError: it cannot be deleted.
        """
        folder = self.folder(artifact)
        try:
            had_partial_state = PartialStates(self.root).remove(artifact)
            return (folder.is_dir() and delete_artifact(folder, self._drafts.exclusive())) or had_partial_state
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be removed ({error.strerror}). Fix its permissions, or ask whoever owns it."
            ) from error

    def sweep_drafts(self) -> None:
        """Delete what writers that are gone have left unfinished. Never raises: the rest waits for another time."""
        self._drafts.sweep()

    def _before(self, artifact: ArtifactId) -> Manifest | None:
        try:
            return self._manifests.find_present(artifact)
        except StoreError:
            return None  # damaged, which is why it was made again

    def _has_appeared(self, draft: Path, artifact: ArtifactId) -> bool:
        """Whether an artifact was published by another after the draft was begun, by what was in its place then.

        The first of equal ones stays: somebody may be reading it, and over a network file system what is replaced can
        no longer be read. One that was there before is what the draft is to replace.
        """
        now = self._stamp(artifact)
        return now is not None and draft in self._seen and now != self._seen[draft]

    def _stamp(self, artifact: ArtifactId) -> Stamp | None:
        """What tells the artifact that is there from any other under its name; None when there is none."""
        return stamp_of(self.folder(artifact) / MANIFEST)
