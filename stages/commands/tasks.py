"""Tasks of the build, for doit: a subtask per node, a group per stage, a task per video.

What a project's dodo.py gives to doit: `DOIT_CONFIG, task_stage, task_video = make_tasks(Path(__file__).parent)`.
"""

import itertools
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

from stages.commands.announcement import announce
from stages.commands.invocation import Invocation, as_task_action, current_invocation, exit_on_error
from stages.commands.reporter import Reporter
from stages.errors import StageError, StagesError
from stages.keys import Node
from stages.request.sweep import describe_values
from stages.request.tables import RAY
from stages.run.answers import Fault
from stages.run.build import Build
from stages.run.demand import Demand
from stages.run.loading import load_build
from stages.run.lookahead import Lookahead
from stages.run.next_steps import command_for

# Nodes that are asked of a cluster at a time where `doit -n` does not say it. It grows by what waits for room.
_NUM_AT_ONCE = 32
TaskCreator: TypeAlias = Callable[[], Iterator[dict[str, Any]]]


def make_tasks(root: Path) -> tuple[dict[str, Any], TaskCreator, TaskCreator]:
    """What doit looks for in a dodo.py: DOIT_CONFIG, task_stage and task_video of the project in the folder `root`.

    Ends the process with one message where the project cannot be read.
    """
    with exit_on_error():
        tasks = load_tasks(root, current_invocation())
    return tasks.config, tasks.task_stage, tasks.task_video


def load_tasks(root: Path, invocation: Invocation) -> "Tasks":
    """The tasks of the project in the folder `root`. Raises StagesError: it cannot be read."""
    build = load_build(
        root,
        invocation.overrides,
        is_read_only=invocation.is_read_only,
        only_shows=invocation.only_shows,
        is_draft=invocation.is_draft,
    )
    if build.machine.runner == RAY:
        from stages.fleet.fleet import with_fleet  # noqa: PLC0415 (of no use on one machine)

        build = with_fleet(build)
    demand = build.demand(is_always=invocation.is_always)
    return Tasks(build, invocation, demand, build.lookahead(demand.is_made))


@dataclass(frozen=True)
class Tasks:
    """The tasks of one project, for one call of a command.

    Attributes:
        build: what is to be made, and how.
        invocation: the call.
        demand: which nodes the call needs.
        ahead: which program is started while another works.
    """

    build: Build
    invocation: Invocation
    demand: Demand
    ahead: Lookahead

    def begin(self, names: Sequence[str], typed: Sequence[str]) -> tuple[Mapping[str, str], Collection[str]]:
        """Look at what tasks with these names need, before the first runs.

        Returns:
            Of videos that cannot be made, the reasons; and the names that are left without them.
        """
        self.demand.select(names, typed)
        faults, left = self.build.check(names, self.demand, partial(announce, self.build, self.invocation))
        self.ahead.select(left)
        return {_legal_name(video): str(Fault(error)) for video, error in faults.items()}, left

    def share(self) -> None:
        """Wait until what was made is on the remote store, too, and say what is not."""
        if self.build.exchange is not None:
            from stages.commands.pushing import finish_pushing  # noqa: PLC0415 (of no use to those who share nothing)

            finish_pushing(self.build.exchange, self.invocation.say, command_for((), self.build.overrides, "push"))

    def finish(self) -> str:
        """End all processes and give the terminal back; a sentence on what was being made just then."""
        try:
            return self.build.close()
        finally:
            self.invocation.screen.close()

    @property
    def config(self) -> dict[str, Any]:
        """DOIT_CONFIG."""
        build, graph = self.build, self.build.graph
        return {
            # stage by stage, so that each model is loaded once
            "default_tasks": [*build.pipeline.names, *graph.videos, *map(_legal_name, graph.faults)],
            "ignored": build.ignored,
            "backend": "sqlite3",  # of doit's own commands, where those run (invocation.py): they remember nothing
            "dep_file": ":memory:",
            "reporter": Reporter,
            "at_start": self.begin,
            "at_complete": self.share,
            "at_end": self.finish,
            "verbosity": 2,
            **({"num_process": _NUM_AT_ONCE} if build.machine.runner == RAY else {}),
            "par_type": "thread",  # the stages are processes already; threads share them
        }

    def make(self, node: Node) -> None:
        """Make a node's artifact unless it is there. Answers within milliseconds when it is."""
        verdict = self.demand.find_due(node)
        if verdict is None:
            return
        build = self.build
        reason = "fresh, but --always-execute" if verdict.is_fresh else build.freshness.explain(node, verdict)
        with self.invocation.screen.show(node, build.graph.videos_of(node), reason) as view:
            ahead, keeps_devices = self.ahead.after(node), partial(self.ahead.complete, node)
            ending = build.run(
                node,
                view,
                was_fresh=verdict.is_fresh,
                may_fetch=not self.invocation.is_always,
                ahead=ahead,
                keeps_devices=keeps_devices,
                waits=self.invocation.waits,
            )
            view.finish(ending)

    def _remove(self, node: Node) -> None:
        """Delete a node's artifact, and nothing else."""
        if self.build.remove(node.artifact):
            print(f"removed: {node.title}")

    def _unlink(self, name: str) -> None:
        """Take the link to a video away."""
        links = self.build.links
        if links.remove(name):
            print(f"removed: {os.path.relpath(links.path(name))}")

    @cached_property
    def _actions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """`make` and `_remove` as doit calls them: of thousands of nodes, the same two."""
        return as_task_action(self.make), as_task_action(self._remove)

    def _describe(self, node: Node) -> str:
        graph = self.build.graph
        videos, file = ", ".join(graph.videos_of(node)), graph.files.get(node.key)
        return f"for {videos}, from {file}" if file else f"for {videos}"

    def _node_task(self, node: Node) -> dict[str, Any]:
        build = self.build
        make, remove = self._actions
        folder = str(build.store.folder(node.artifact))
        return {
            "basename": node.stage,
            "name": node.title.removeprefix(f"{node.stage}:"),
            "doc": self._describe(node),
            "actions": [(make, [node])],
            "task_dep": [artifact.title for artifact in node.input_artifacts],
            "targets": [f"{folder}/{name}" for name in build.files_of(node)],
            "uptodate": [build.freshness.of_node(node, self.demand)],
            "clean": [(remove, [node])],
            "io": {"capture": False},  # a running node draws on the terminal itself
            "meta": {
                "artifact": folder,
                "videos": build.graph.videos_of(node),
            },
        }

    def task_stage(self) -> Iterator[dict[str, Any]]:
        """a group per stage, with a task per artifact"""
        for stage in self.build.pipeline:
            yield {"basename": stage.name, "name": None, "doc": stage.summary, "uptodate": [True]}
            yield from map(self._node_task, self.build.graph.nodes(stage.name).values())

    def task_video(self) -> Iterator[dict[str, Any]]:
        """the link in artifacts/videos/ to each video, or why there is none; and the videos of each sweep"""
        build, graph = self.build, self.build.graph
        link, unlink, refuse = (as_task_action(each) for each in (build.links.point_to, self._unlink, _refuse))
        differences = {
            name: describe_values(values) for sweep in graph.sweeps.values() for name, values in sweep.items()
        }
        for name, nodes in graph.videos.items():
            node = nodes[build.pipeline.last.name]
            prompt = "" if name in differences else graph.prompt_of(name)  # of a sweep's video, doc says more
            yield {
                "basename": name,
                "doc": differences.get(name, f"the video of params/videos/{name}.toml"),
                "task_dep": [node.title],
                "actions": [(link, [name, node.artifact])],
                "uptodate": [build.freshness.of_link(name)],
                "clean": [(unlink, [name])],
                "meta": {"video": str(build.links.path(name)), "videos": (name,), "prompt": prompt},
            }
        for name, error in graph.faults.items():
            fault = Fault(error)
            yield {
                "basename": _legal_name(name),
                "doc": f"cannot be made: {fault.line}",
                "actions": [(refuse, [error])],
                "uptodate": [fault],
                "clean": [(refuse, [error])],
                "meta": {"fault": str(fault), "videos": (name,)},
            }
        yield from itertools.starmap(_sweep_task, graph.sweeps.items())


def _legal_name(video: str) -> str:
    """The name of a video's task; only a file whose name cannot be a video's can have a `=`, which no task may have."""
    return video.replace("=", "%3D")


def _refuse(error: StagesError) -> None:
    """Say why nothing can be done with a video."""
    raise StageError(f"{type(error).__name__}: {error}") from error


def _sweep_task(name: str, videos: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    parameters = ", ".join(next(iter(videos.values()), ()))
    what = f"which differ in {parameters}" if videos else "all others of which have files of their own"
    return {
        "basename": name,
        "doc": f"{len(videos):,} videos of params/videos/{name}.toml, {what}",
        "actions": None,
        "task_dep": [*videos],
        "uptodate": [True],
        "meta": {"sweep": (*videos,), "videos": (*videos,)},
    }
