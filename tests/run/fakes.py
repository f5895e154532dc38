"""A build of the real parameters and graph, whose store and processes are fakes."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from stages.errors import StageError, UnreadableError
from stages.keys import ArtifactId, Digest, Node
from stages.pipeline.stage import Program
from stages.run.build import Build
from stages.run.job import Job
from stages.run.loading import load_build
from stages.run.runner import Event
from stages.store.leases import Leases
from stages.store.verdict import State, Verdict


@dataclass
class FakeStore:
    """A store of which a test says what is fresh, or in another state; all else is absent. Keeps nothing."""

    root: Path = Path("artifacts")
    fresh: set[ArtifactId] = field(default_factory=set)
    others: dict[ArtifactId, State] = field(default_factory=dict)
    unreadable: set[ArtifactId] = field(default_factory=set)
    num_sweeps: int = 0

    def folder(self, artifact: ArtifactId) -> Path:
        return self.root / artifact.stage / artifact.key

    def payload(self, artifact: ArtifactId) -> Path:
        return self.folder(artifact) / "payload"

    def verdict(self, node: Node, code: Digest) -> Verdict:
        assert code
        if node.artifact in self.unreadable:
            raise UnreadableError(self.payload(node.artifact), PermissionError(errno.EACCES, "Permission denied"))
        return Verdict("fresh" if node.artifact in self.fresh else self.others.get(node.artifact, "absent"))

    def forget(self, artifact: ArtifactId) -> bool:
        return self.remove(artifact)

    def remove(self, artifact: ArtifactId) -> bool:
        was_there = artifact in self.fresh
        self.fresh.discard(artifact)
        return was_there

    def sweep_drafts(self) -> None:
        self.num_sweeps += 1


@dataclass
class FakeRunner:
    """Takes jobs and starts nothing; what is not there to be read, or `fails` with a message, has no result."""

    store: FakeStore
    fails: str = ""
    jobs: list[Job] = field(default_factory=list)
    ahead: list[Program | None] = field(default_factory=list)
    stopped: set[Program] = field(default_factory=set)
    num_given_up: int = 0

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:
        self.ahead.append(ahead)
        observe({"event": "phase", "name": "computing"})
        self.jobs.append(job)
        if self.fails:
            raise StageError(self.fails)
        if not set(job.node.input_artifacts) <= self.store.fresh:
            raise StageError(f"{job.node.title}: no result.")
        self.store.fresh.add(job.node.artifact)
        return {"event": "result", "is_same_as_before": None, "wall_s": 0.0}

    def stop(self, node: Node, *, at_once: bool) -> None:
        pass

    def is_stopped(self, program: Program) -> bool:
        return program in self.stopped

    def prepare(self) -> None:
        pass

    def give_up_devices(self) -> None:
        self.num_given_up += 1

    def close(self) -> list[Node]:
        return []


class Forgetting(FakeRunner):
    """What it makes is forgotten at once by somebody."""

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:
        ending = super().run(job, observe, ahead=ahead)
        self.store.fresh.clear()
        return ending


def fake_build(root: Path, overrides: dict[str, str]) -> tuple[Build, FakeStore, FakeRunner]:
    """A build of the real parameters and graph, whose store and runner are fakes."""
    store = FakeStore()
    runner = FakeRunner(store)
    return replace(load_build(root, overrides), store=store, runner=runner), store, runner


def ignore(_event: Event) -> None:
    pass


def quick(build: Build) -> Build:
    return replace(build, leases=Leases(build.leases.root, look_s=0.02, patience_s=60.0))
