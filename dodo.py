"""Tasks of the build, for doit: a subtask per node, a group per stage, a task per video."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.commands.file_checker import Xxh3Checker
from stages.commands.invocation import as_task_action, current_invocation, exit_on_error
from stages.commands.reporter import Reporter
from stages.keys import Node
from stages.pipeline.contract import STAGES
from stages.run.build import load_build

with exit_on_error():
    INVOCATION = current_invocation()
    BUILD = load_build(Path(__file__).parent, INVOCATION.overrides, is_read_only=INVOCATION.is_read_only)


def finish() -> None:
    """End all processes and give the terminal back."""
    BUILD.workers.close()
    INVOCATION.screen.close()


DOIT_CONFIG = {
    "default_tasks": [*STAGES, *BUILD.graph.videos],  # stage by stage, so that each model is loaded once
    "backend": "sqlite3",
    "dep_file": str(BUILD.database),
    "check_file_uptodate": Xxh3Checker,
    "reporter": Reporter,
    "at_end": finish,
    "verbosity": 2,
    "par_type": "thread",  # the stages are processes already; threads share them
}
_LAST_STAGE = STAGES[-1]


@as_task_action
def make(node: Node) -> None:
    """Make a node's artifact unless it is there. Answers within milliseconds when it is."""
    verdict = BUILD.verdict(node)
    if verdict.is_fresh:
        return
    with INVOCATION.screen.show(node, BUILD.graph.videos_of(node), verdict.reason or verdict.state) as view:
        view.finish(BUILD.run(node, view))


@as_task_action
def remove(node: Node) -> None:
    """Delete a node's artifact, and nothing else."""
    if BUILD.store.remove(node.stage, node.key):
        print(f"removed: {node.title}")


def _describe(node: Node) -> str:
    videos, file = ", ".join(BUILD.graph.videos_of(node)), BUILD.graph.files.get(node.key)
    return f"for {videos}, from {file}" if file else f"for {videos}"


def _stage_tasks(stage: str) -> Iterator[dict[str, Any]]:
    yield {"basename": stage, "name": None, "doc": f"the {stage} stage of all videos"}
    for node in BUILD.graph.nodes(stage).values():
        yield {
            "basename": stage,
            "name": node.title.removeprefix(f"{stage}:"),
            "doc": _describe(node),
            "actions": [(make, [node])],
            "file_dep": BUILD.file_deps(node),
            "targets": BUILD.targets(node),
            "uptodate": [BUILD.freshness(node)],
            "clean": [(remove, [node])],
            "io": {"capture": False},  # a running node draws on the terminal itself
            "meta": {"artifact": str(BUILD.store.folder(stage, node.key))},
        }


def task_encode() -> Iterator[dict[str, Any]]:
    """prompt -> embeddings"""
    return _stage_tasks("encode")


def task_denoise() -> Iterator[dict[str, Any]]:
    """embeddings -> latents"""
    return _stage_tasks("denoise")


def task_decode() -> Iterator[dict[str, Any]]:
    """latents -> frames"""
    return _stage_tasks("decode")


def task_export() -> Iterator[dict[str, Any]]:
    """frames -> video file"""
    return _stage_tasks("export")


def task_video() -> Iterator[dict[str, Any]]:
    """the link in artifacts/videos/ to each video"""
    for name, nodes in BUILD.graph.videos.items():
        node = nodes[_LAST_STAGE]
        yield {
            "basename": name,
            "doc": f"the video of params/videos/{name}.toml",
            "task_dep": [node.title],
            "actions": [(as_task_action(BUILD.links.lead), [name, node])],
            "uptodate": [BUILD.link_freshness(name)],
            "clean": [(as_task_action(BUILD.links.remove), [name])],
            "meta": {"video": str(BUILD.links.path(name))},
        }
