"""Two projects that share a remote store in a folder, each with a store of its own."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stages.keys import Node
from stages.pipeline.stage import Program
from stages.run.build import Build
from stages.run.exchange import Exchange
from stages.run.job import Job
from stages.run.loading import load_build
from stages.run.runner import Event
from stages.store.artifacts import Store
from tests.builders import payload_of, publish
from tests.commands.store_commands import build_project, make
from tests.project import set_defaults
from tests.run.fakes import FakeRunner


@dataclass(frozen=True)
class Machines:
    """Folders of two projects, and of what they share."""

    one: Path
    other: Path
    shared: Path

    def names(self, kind: str) -> list[str]:
        """Stages of which the remote store has objects of a kind, "artifacts" or "records"."""
        return sorted(path.name for path in self.shared.glob(f"{kind}/*"))

    def break_payloads(self) -> None:
        """From now on the remote store answers with an error whoever asks it for a payload."""
        shutil.rmtree(self.shared / "payloads")
        (self.shared / "payloads").touch()


@dataclass
class Publishing(FakeRunner):
    """Publishes the bytes that the other machine has, in place of making them."""

    root: Path = Path()
    made: list[str] = field(default_factory=list)

    def run(self, job: Job, observe: object, *, ahead: Program | None = None) -> Event:  # noqa: ARG002
        self.made.append(job.node.stage)
        content = (self.root / job.node.stage / job.node.key / payload_of(job.node.stage)).read_bytes()
        publish(Store(job.store), job.node, content, job.code)
        return {"event": "result", "is_same_as_before": None, "wall_s": 0.0}


def join(folder: Path, **settings: str) -> Machines:
    """Two machines; nothing has been made. Settings are those of both, besides where the remote store is."""
    machines = Machines(folder / "one", folder / "other", folder / "shared")
    machines.shared.mkdir()
    for root in (machines.one, machines.other):
        root.mkdir()
        build_project(root)
        set_defaults(root, "machine", remote=f"file://{machines.shared}", **settings)
    return machines


def load(root: Path, **overrides: str) -> tuple[Build, Exchange]:
    """The build of a machine, and what passes between it and the remote store."""
    build = load_build(root, {name.replace("_", ".", 1): value for name, value in overrides.items()})
    assert build.exchange is not None
    return build, build.exchange


def make_and_push(root: Path, stages: Sequence[str] = ("encode", "denoise", "decode", "export")) -> dict[str, Node]:
    """Publish all nodes of `demo` on a machine, and push those of these stages."""
    nodes = make(root)
    _, exchange = load(root)
    for stage in stages:
        exchange.push_later(nodes[stage].artifact)
    outcome = exchange.finish(lambda _done, _total: None)
    assert not outcome.left
    return nodes
