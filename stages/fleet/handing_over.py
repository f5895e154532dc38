"""The driver's half of a fleet whose hosts have stores of their own: all artifacts pass through the remote store.

What a job reads is there before it is sent; what it has made is noted here, and fetched where people want it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from stages.errors import StageError
from stages.keys import ArtifactId
from stages.machine.holder import Holder
from stages.remote.claims import Claims
from stages.remote.layout import find_variant, name_claim, name_entry, name_partial, variant_of
from stages.remote.remote import RemoteStore
from stages.run.job import Job
from stages.run.runner import Event, progress_in_mib
from stages.store.artifacts import Store
from stages.store.manifest import Manifest

_BOTH: Final = (True, False)


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

    def prepare(self, job: Job) -> tuple[str, ...]:
        """See to it that the remote store has all that a job is made from.

        Returns:
            Names of the objects that say what these artifacts are, the first stage's first.
        Raises:
            RemoteError: it does not answer, or takes nothing.
            StoreError: an artifact is neither there nor here.
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
        there = next((name for name in names if self.remote.catalog.read(name)), None)
        if there is None:
            self.remote.push(artifact, is_whole=is_read)
            there = name_entry(artifact, variant, is_whole=is_read)
        found[artifact] = there

    @contextmanager
    def claim(self, job: Job, observe: Callable[[Event], None]) -> Iterator[Event | None]:
        """Keep other runs, whose stores are others, from making the same for the time of the block.

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
        if self.remote.bucket.get(name_partial(job.node.artifact)) is None:
            return "nothing of it was on the remote store, so it begins anew."
        return "it goes on from the state that is on the remote store."

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
