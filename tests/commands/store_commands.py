"""The commands on the whole store, in this process, in a project whose videos are published instead of made."""

import tomllib
from pathlib import Path

from doit.doit_cmd import DoitMain

from stages.keys import Node
from stages.run.loading import load_build
from stages.store.artifacts import Store
from tests.builders import publish
from tests.known_files import know_package
from tests.project import PROJECT, copy_params
from tests.store.inventories import SECONDS, SIZES, set_run

PLUGINS = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["doit"]["plugins"]


def run_command(*arguments: str) -> int:
    """Exit code of a command in the working folder."""
    main = DoitMain(extra_config={"COMMAND": PLUGINS["command"]}, config_filenames=())
    return int(main.run(list(arguments)) or 0)


def build_project(root: Path) -> Path:
    """A project with the shipped video, `demo`; nothing has been made."""
    return copy_params(root)


def make(root: Path, **overrides: str) -> dict[str, Node]:
    """Publish all nodes of `demo` with other values, such as `denoise_seed="7"`; by stage."""
    if not (root / "artifacts").exists():
        know_package(root)
    dotted = {name.replace("_", ".", 1): value for name, value in overrides.items()}
    build = load_build(root, dotted)
    nodes = build.graph.videos["demo"]
    for node in nodes.values():
        if not build.verdict(node).is_fresh:
            code = build.code[build.program_of(node).package]
            publish(Store(build.store.root), node, (node.key * (SIZES[node.stage] // 32)).encode(), code)
            set_run(Store(build.store.root), node, wall_s={node.stage: SECONDS[node.stage]})
    return dict(nodes)


def states(root: Path, nodes: dict[str, Node]) -> list[str]:
    """The store's word on each node."""
    build = load_build(root, {})
    return [build.verdict(node).state for node in nodes.values()]
