"""The driver's half of a fleet whose hosts have stores of their own: all artifacts pass through the remote store.

What a job reads is there before it is sent; what it has made is noted here, and fetched where people want it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from stages.errors import RemoteError, StageError, StoreError
from stages.keys import ArtifactId, Node
from stages.machine.holder import Holder
from stages.remote.claims import Claims
from stages.remote.download import PayloadError
from stages.remote.layout import find_variant, name_claim, name_entry, name_partial, variant_of
from stages.remote.payload_upload import is_there
from stages.remote.remote import RemoteStore
from stages.run.job import Job
from stages.run.runner import Event, progress_in_mib
from stages.store.artifacts import Store
from stages.store.manifest import Manifest
from stages.store.partial import PartialStates

_BOTH: Final = (True, False)
_SOON_S: Final = 10.0  # that a run which is ending waits for states


@dataclass(frozen=True)
class HandingOver:
    """What passes between the driver's store and those of hosts.

    Attributes:
        store: of the driver.
        remote: between them.
        last: name of the last stage, whose results are fetched: videos.
    """

    store: Store
    remote: RemoteStore
    last: str

    def require(self) -> None:
        """Raise RemoteError where the remote store has not answered, and from now on when it does not."""
        if self.remote.fault:
            raise RemoteError(
                f"{self.remote.fault.removesuffix('.')}. Hosts of the fleet give results to each other by it, so "
                "nothing is made."
            )
        self.remote.require()

    @property
    def _states(self) -> PartialStates:
        return PartialStates(self.store.root)

    def prepare(self, job: Job) -> tuple[str, ...]:
        """See to it that the remote store has all that a job is made from.

        Returns:
            Names of the objects that say what these artifacts are, the first stage's first.
        Raises:
            RemoteError: it does not answer, or takes nothing.
            PayloadError: what the job reads is neither there nor here; from now on, that is known of it.
            StoreError: nobody knows what an artifact is.
        """
        found: dict[ArtifactId, str] = {}
        for artifact in job.node.input_artifacts:
            self._add(artifact, found, is_read=True)
        return tuple(found.values())

    def _add(self, artifact: ArtifactId, found: dict[ArtifactId, str], *, is_read: bool) -> None:
        """Add an artifact after all that it was made from; one that `is_read` is there with its payload."""
        manifest = self.store.present_manifest(artifact)
        for parent in manifest.node.input_artifacts:
            if parent not in found:
                self._add(parent, found, is_read=False)
        variant = variant_of(manifest)
        names = [name_entry(artifact, variant, is_whole=is_whole) for is_whole in (_BOTH[:1] if is_read else _BOTH)]
        there = next((name for name in names if self._has(name, is_read=is_read)), None)
        if there is None:
            if is_read and not self.store.payload(artifact).is_file():
                self.remote.catalog.drop(names[0])
                raise PayloadError(f"{artifact.title}: its payload is gone from {self.remote.address}.")
            self.remote.push(artifact, is_whole=is_read)
            there = name_entry(artifact, variant, is_whole=is_read)
        found[artifact] = there

    def _has(self, name: str, *, is_read: bool) -> bool:
        """Whether the remote store says what an artifact is; of one that `is_read`, whether it has its payload, too."""
        found = self.remote.catalog.read(name)
        return found is not None and (not is_read or is_there(self.remote.bucket, found.entry))

    @contextmanager
    def claim(
        self, job: Job, observe: Callable[[Event], None], while_waiting: Callable[[], None] = lambda: None
    ) -> Iterator[Event | None]:
        """Keep other runs, whose stores are others, from making the same for the time of the block.

        Args:
            job: to be done.
            observe: sees who makes it instead.
            while_waiting: called now and then; what it raises ends the waiting.
        Yields:
            The event that ends the job where another run has made it meanwhile.
        Raises:
            StageError: another run makes it, and it is not to be waited for.
            RemoteError: the remote store does not answer.
        """
        manifests = {artifact.stage: self.store.present_manifest(artifact) for artifact in job.node.input_artifacts}
        variant = find_variant(job.code, {stage: manifest.digest for stage, manifest in manifests.items()})

        def wait(holder: Holder | None, waited_s: float) -> None:
            who = holder or "another run"
            if not job.waits:
                raise StageError(f"{job.node.title} is being made by {who}. Run it again when that has ended.")
            while_waiting()
            observe({"event": "phase", "name": f"is being made by {who}; waiting, {waited_s:.0f} s so far"})

        entry = name_entry(job.node.artifact, variant, is_whole=True)
        was_listed = entry in self.remote.catalog.names()
        with Claims(self.remote.bucket).hold(name_claim(job.node.artifact, variant), wait) as before:
            is_made = not was_listed and self.remote.catalog.read(entry) is not None
            made: Event = {
                "event": "result",
                "is_same_as_before": None,
                "made_by": str(before or ""),
                "entry": entry,
            }
            yield made if is_made else None

    def describe_left(self, job: Job) -> str:
        """What is kept of a job that was lost with its host, in words."""
        try:
            content = self.remote.bucket.get(name_partial(job.node.artifact))
        except RemoteError as error:
            return f"whether it goes on from a state is not known: {error}"
        if content is None:
            return "nothing of it was on the remote store, so it begins anew."
        return "it goes on from the state that is on the remote store."

    def bring_states(self, nodes: Sequence[Node]) -> None:
        """Have here how far nodes were whose making has ended early, as far as it comes soon.

        A run without the fleet goes on from them, too.
        """
        threads = [threading.Thread(target=self._bring_state, args=[node.artifact], daemon=True) for node in nodes]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + _SOON_S
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _bring_state(self, artifact: ArtifactId) -> None:
        with suppress(RemoteError, StoreError, OSError):
            if (content := self.remote.bucket.get(name_partial(artifact))) is not None:
                self._states.write_file(artifact, content)

    def take(self, job: Job, ending: Event, observe: Callable[[Event], None]) -> Event:
        """Have here what a host has made: a video with its payload, of others what they are.

        Args:
            job: that was done.
            ending: the event that ended it, with the name of its `entry`.
            observe: sees how far it is.
        Raises:
            StageError: it is gone already.
            RemoteError: the remote store does not give it.
        """
        name = str(ending["entry"])
        found = self.remote.catalog.read(name)
        if found is None:
            raise StageError(f"{job.node.title}: was made, and {name} of {self.remote.address} is gone already.")
        self.remote.catalog.add(name, found.entry, is_whole=True)
        self._states.remove(job.node.artifact)  # of an earlier run, which did not finish it

        if job.node.stage == self.last or self.remote.policy.takes_all:
            observe({"event": "phase", "name": "fetching"})
            self.remote.fetch(job.node, found, lambda *both: observe(progress_in_mib(*both)))
        else:
            is_other = partial(self._is_other, found.entry.manifest)
            self.remote.record(job.node, found, is_missing=is_other)
        return {key: value for key, value in ending.items() if key != "entry"} | {"is_pushed": True}

    def _is_other(self, manifest: Manifest) -> bool:
        """Whether the store does not know yet that an artifact is this."""
        return self.store.manifest(manifest.node.artifact) != manifest
