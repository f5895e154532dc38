"""Tasks of the build, for doit: a subtask per node, a group per stage, a task per video."""

import functools
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from doit import doit_cmd
from doit.exceptions import TaskFailed

from stages.commands.file_checker import Xxh3Checker
from stages.commands.reporter import Reporter
from stages.errors import StagesError
from stages.keys import Node
from stages.run.build import load_build

DEBUG = "--debug" in sys.argv  # doit reads the options of `run` after this file

try:
    # doit's get_var answers only for names that one asks for; misspelt ones would be ignored
    BUILD = load_build(Path(__file__).parent, dict(doit_cmd._CMDLINE_VARS or {}))
except StagesError as error:
    if DEBUG:
        traceback.print_exc()
    sys.exit(f"{type(error).__name__}: {error}")
except KeyboardInterrupt:
    sys.exit("interrupted. Nothing had been started.")


def finish() -> None:
    """End all processes and give the terminal back."""
    BUILD.runner.close()
    if "stages.run.display" in sys.modules:  # slow to load, and only there when a node has run
        sys.modules["stages.run.display"].DISPLAY.close()


DOIT_CONFIG = {
    "default_tasks": [*BUILD.pipeline.names, *BUILD.graph.videos],  # stage by stage, so that each model is loaded once
    "backend": "sqlite3",
    "dep_file": str(BUILD.database),
    "check_file_uptodate": Xxh3Checker,
    "reporter": Reporter,
    "at_end": finish,
    "verbosity": 2,
    "par_type": "thread",  # the stages are processes already; threads share them
}


def told(action: Callable[..., None]) -> Callable[..., TaskFailed | None]:
    """An action whose errors become doit's, with one message; with --debug after the traceback."""

    @functools.wraps(action)
    def run(*arguments: object) -> TaskFailed | None:
        try:
            action(*arguments)
        except StagesError as error:
            if DEBUG:
                traceback.print_exc()
            return TaskFailed(str(error))
        return None

    return run


@told
def make(node: Node) -> None:
    """Make a node's artifact unless it is there. Answers within milliseconds when it is."""
    verdict = BUILD.verdict(node)
    if verdict.is_fresh:
        return
    from stages.run.display import DISPLAY  # noqa: PLC0415 (slow, and only here needed)

    with DISPLAY.show(node, BUILD.graph.videos_of(node), BUILD.explain(node, verdict)) as shown:
        shown.finish(BUILD.run(node, shown))


@told
def remove(node: Node) -> None:
    """Delete a node's artifact, and nothing else."""
    if BUILD.store.remove(node.artifact):
        print(f"removed: {node.title}")


def _describe(node: Node) -> str:
    videos, file = ", ".join(BUILD.graph.videos_of(node)), BUILD.graph.files.get(node.key)
    return f"for {videos}, from {file}" if file else f"for {videos}"


def _node_task(node: Node) -> dict[str, Any]:
    return {
        "basename": node.stage,
        "name": node.title.removeprefix(f"{node.stage}:"),
        "doc": _describe(node),
        "actions": [(make, [node])],
        "file_dep": BUILD.file_deps(node),
        "targets": BUILD.targets(node),
        "uptodate": [BUILD.freshness(node)],
        "clean": [(remove, [node])],
        "io": {"capture": False},  # a running node draws on the terminal itself
        "meta": {"artifact": str(BUILD.store.folder(node.artifact))},
    }


def task_stage() -> Iterator[dict[str, Any]]:
    """a group per stage, with a task per artifact"""
    for stage in BUILD.pipeline:
        yield {"basename": stage.name, "name": None, "doc": stage.summary}
        yield from map(_node_task, BUILD.graph.nodes(stage.name).values())


def task_video() -> Iterator[dict[str, Any]]:
    """the link in artifacts/videos/ that points to each video"""
    for name, nodes in BUILD.graph.videos.items():
        node = nodes[BUILD.pipeline.last.name]
        yield {
            "basename": name,
            "doc": f"the video of params/videos/{name}.toml",
            "task_dep": [node.title],
            "actions": [(told(BUILD.links.point_to), [name, node.artifact])],
            "uptodate": [BUILD.link_freshness(name)],
            "clean": [(told(BUILD.links.remove), [name])],
            "meta": {"video": str(BUILD.links.path(name))},
        }
