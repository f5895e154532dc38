"""Tasks of the build, for doit: a subtask per node, a group per stage, a task per video."""

import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stages.commands.announcement import announce_sweeps
from stages.commands.invocation import as_task_action, current_invocation, exit_on_error
from stages.commands.reporter import Reporter
from stages.errors import StageError, StagesError
from stages.keys import Node
from stages.request.sweep import describe_values
from stages.run.answers import Fault
from stages.run.loading import load_build

with exit_on_error():
    INVOCATION = current_invocation()
    BUILD = load_build(
        Path(__file__).parent,
        INVOCATION.overrides,
        is_read_only=INVOCATION.is_read_only,
        only_shows=INVOCATION.only_shows,
        is_draft=INVOCATION.is_draft,
    )


DEMAND = BUILD.demand(is_always=INVOCATION.is_always)
AHEAD = BUILD.lookahead(DEMAND.is_due)


def begin(names: Sequence[str], typed: Sequence[str]) -> tuple[Mapping[str, str], Collection[str]]:
    """Look at what tasks with these names need, before the first runs.

    Returns:
        Of videos that cannot be made, the reasons; and the names that are left without them.
    """
    DEMAND.select(names, typed)
    faults, left = BUILD.check(names, DEMAND, partial(announce_sweeps, BUILD, INVOCATION.say))
    AHEAD.select(left)
    return {legal_name(video): str(Fault(error)) for video, error in faults.items()}, left


def finish() -> str:
    """End all processes and give the terminal back; a sentence on what was being made just then."""
    try:
        return BUILD.close()
    finally:
        INVOCATION.screen.close()


def legal_name(video: str) -> str:
    """The name of a video's task; only a file whose name cannot be a video's can have a `=`, which no task may have."""
    return video.replace("=", "%3D")


DOIT_CONFIG = {
    # stage by stage, so that each model is loaded once
    "default_tasks": [*BUILD.pipeline.names, *BUILD.graph.videos, *map(legal_name, BUILD.graph.faults)],
    "ignored": BUILD.ignored,
    "backend": "sqlite3",  # of doit's own commands, where those run (invocation.py): they remember nothing
    "dep_file": ":memory:",
    "reporter": Reporter,
    "at_start": begin,
    "at_end": finish,
    "verbosity": 2,
    "par_type": "thread",  # the stages are processes already; threads share them
}


@as_task_action
def make(node: Node) -> None:
    """Make a node's artifact unless it is there. Answers within milliseconds when it is."""
    verdict = DEMAND.find_due(node)
    if verdict is None:
        return
    reason = "fresh, but --always-execute" if verdict.is_fresh else BUILD.freshness.explain(node, verdict)
    with INVOCATION.screen.show(node, BUILD.graph.videos_of(node), reason) as view:
        ahead, keeps_devices = AHEAD.after(node), partial(AHEAD.complete, node)
        ending = BUILD.run(
            node,
            view,
            was_fresh=verdict.is_fresh,
            ahead=ahead,
            keeps_devices=keeps_devices,
            waits=INVOCATION.waits,
        )
        view.finish(ending)


@as_task_action
def remove(node: Node) -> None:
    """Delete a node's artifact, and nothing else."""
    if BUILD.remove(node.artifact):
        print(f"removed: {node.title}")


@as_task_action
def unlink(name: str) -> None:
    """Take the link to a video away."""
    if BUILD.links.remove(name):
        print(f"removed: {os.path.relpath(BUILD.links.path(name))}")


@as_task_action
def refuse(error: StagesError) -> None:
    """Say why nothing can be done with a video."""
    raise StageError(f"{type(error).__name__}: {error}") from error


def _describe(node: Node) -> str:
    videos, file = ", ".join(BUILD.graph.videos_of(node)), BUILD.graph.files.get(node.key)
    return f"for {videos}, from {file}" if file else f"for {videos}"


def _node_task(node: Node) -> dict[str, Any]:
    folder = str(BUILD.store.folder(node.artifact))
    return {
        "basename": node.stage,
        "name": node.title.removeprefix(f"{node.stage}:"),
        "doc": _describe(node),
        "actions": [(make, [node])],
        "task_dep": [artifact.title for artifact in node.input_artifacts],
        "targets": [f"{folder}/{name}" for name in BUILD.files_of(node)],
        "uptodate": [BUILD.freshness.of_node(node, DEMAND)],
        "clean": [(remove, [node])],
        "io": {"capture": False},  # a running node draws on the terminal itself
        "meta": {
            "artifact": folder,
            "videos": BUILD.graph.videos_of(node),
        },
    }


def task_stage() -> Iterator[dict[str, Any]]:
    """a group per stage, with a task per artifact"""
    for stage in BUILD.pipeline:
        yield {"basename": stage.name, "name": None, "doc": stage.summary, "uptodate": [True]}
        yield from map(_node_task, BUILD.graph.nodes(stage.name).values())


def task_video() -> Iterator[dict[str, Any]]:
    """the link in artifacts/videos/ to each video, or why there is none; and the videos of each sweep"""
    link = as_task_action(BUILD.links.point_to)
    differences = {
        name: describe_values(values) for sweep in BUILD.graph.sweeps.values() for name, values in sweep.items()
    }
    for name, nodes in BUILD.graph.videos.items():
        node = nodes[BUILD.pipeline.last.name]
        prompt = "" if name in differences else BUILD.graph.prompt_of(name)  # of a sweep's video, doc says more
        yield {
            "basename": name,
            "doc": differences.get(name, f"the video of params/videos/{name}.toml"),
            "task_dep": [node.title],
            "actions": [(link, [name, node.artifact])],
            "uptodate": [BUILD.freshness.of_link(name)],
            "clean": [(unlink, [name])],
            "meta": {"video": str(BUILD.links.path(name)), "videos": (name,), "prompt": prompt},
        }
    for name, error in BUILD.graph.faults.items():
        fault = Fault(error)
        yield {
            "basename": legal_name(name),
            "doc": f"cannot be made: {fault.line}",
            "actions": [(refuse, [error])],
            "uptodate": [fault],
            "clean": [(refuse, [error])],
            "meta": {"fault": str(fault), "videos": (name,)},
        }
    yield from itertools.starmap(_sweep_task, BUILD.graph.sweeps.items())


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
