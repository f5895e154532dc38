"""What the driver sends to an actor: a job, and how its artifacts travel. One line of JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from stages.machine.host_group import ONE_HOST
from stages.models.checkpoint import Checkpoint
from stages.models.hub_cache import snapshot_folder
from stages.run.job import Job

# Names of events that end an errand, besides the "result" of a job: it has failed; its process has ended.
FAILED: Final = "failed"
ENDED: Final = "ended"
PACKAGE: Final = Path(__file__).parent.parent  # of the code that runs, in which checkpoints ship


@dataclass(frozen=True)
class Errand:
    """A job of a fleet.

    Attributes:
        job: as the driver would do it itself.
        package: folder of the driver's code.
        remote: address of the remote store by which artifacts travel; "" where the host sees the driver's store.
        entries: with a remote store, the objects that say what the node is made from, the first stage's first.
        hosts: as the setting `machine.hosts`: the host's place among those of a slice that do it together, or "one".
    """

    job: Job
    package: Path = PACKAGE
    remote: str = ""
    entries: tuple[str, ...] = ()
    hosts: str = ONE_HOST

    def to_json(self) -> str:
        """The errand as one line."""
        fields = {"package": str(self.package), "remote": self.remote, "entries": self.entries, "hosts": self.hosts}
        return json.dumps({**fields, "job": json.loads(self.job.to_json())})

    @staticmethod
    def from_json(line: str) -> "Errand":
        """The inverse of `to_json`."""
        fields: Mapping[str, Any] = json.loads(line)
        job = Job.from_json(json.dumps(fields["job"]))
        return Errand(job, Path(fields["package"]), fields["remote"], tuple(fields["entries"]), fields["hosts"])

    @property
    def is_first(self) -> bool:
        """Whether this host answers for the job: it computes by itself, or is host 0 of those that do it together."""
        return self.hosts == ONE_HOST or self.hosts.rpartition(" ")[2].startswith("0/")

    def job_here(self) -> Job:
        """The job with the places that this host has: of checkpoints that ship with the code, and of the hub's.

        No host of a fleet joins others by itself: one that is part of a slice would wait for them.
        """
        checkpoint = _place_here(self.job.checkpoint, self.package)
        return replace(self.job, checkpoint=checkpoint, machine={**self.job.machine, "hosts": self.hosts})


def _place_here(place: Checkpoint, package: Path) -> Checkpoint:
    elsewhere = {name: _place_here(each, package) for name, each in place.elsewhere.items()}
    folder = place.folder
    if place.commit:
        folder = snapshot_folder(place.repo, place.commit)
    elif folder.is_relative_to(package):
        folder = PACKAGE / folder.relative_to(package)
    return replace(place, folder=folder, elsewhere=elsewhere)
