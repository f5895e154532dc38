"""Several real `doit` on one store. Latents come from a file, so that no model is needed, and a node takes a second."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.keys import Node
from stages.run.build import Build
from stages.run.loading import load_build
from stages.run.one_maker import find_ancestors
from tests.builders import publish
from tests.project import DOIT, copy_project, environment, run_doit, set_defaults

pytestmark = pytest.mark.processes

FILE = "denoise.from_file=latents.safetensors"
OVERRIDES = {"denoise.from_file": "latents.safetensors"}
_PATIENCE_S = 60.0


def write_clone(root: Path, store: Path) -> Path:
    """A project whose store others use, too."""
    root.mkdir()
    copy_project(root)
    set_defaults(root, "machine", artifacts=str(store))
    save_file({"latents": np.ones((1, 32, 3, 4, 4), np.float32)}, root / "latents.safetensors")
    return root


@pytest.fixture
def clones(tmp_path: Path) -> list[Path]:
    return [write_clone(tmp_path / name, tmp_path / "store") for name in ("one", "other")]


@pytest.fixture
def build(clones: list[Path]) -> Build:
    return load_build(clones[0], OVERRIDES)


@pytest.fixture
def node(build: Build) -> Node:
    return build.graph.videos["demo"]["denoise"]


@contextmanager
def starting(root: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*DOIT, *arguments], cwd=root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.kill()


def output_of(process: subprocess.Popen[str]) -> str:
    """What it has printed; it must succeed."""
    output, _ = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 0, output
    return output


def test_of_two_runs_that_waited_one_makes_the_node_and_both_succeed(clones: list[Path], build: Build, node: Node):
    with ExitStack() as stack:
        with build.lease(node, lambda _: None):
            runs = [stack.enter_context(starting(root, "denoise", FILE)) for root in clones]
            for run in runs:
                assert run.stdout is not None
                assert run.stdout.readline() == f"{node.title}  demo  (absent)\n"
        outputs = [output_of(run) for run in runs]
    assert sum("  made in " in output for output in outputs) == 1
    (other,) = [output for output in outputs if "  made in " not in output]
    maker = next(run for run, output in zip(runs, outputs, strict=True) if output is not other)
    assert re.search(rf"{node.title}  was made meanwhile by \S+ on \S+ \(process {maker.pid}, since .+\)\n", other)
    assert build.verdict(node).is_fresh
    assert [*(build.store.root / ".leases").iterdir()] == []


def test_a_run_that_does_not_wait_ends_with_who_makes_it(clones: list[Path], build: Build, node: Node):
    with build.lease(node, lambda _: None):
        ended = run_doit(clones[1], "--no-wait", "denoise", FILE)
    assert ended.returncode == 1
    assert re.search(
        rf"^{node.title} is being made by \S+ on \S+ \(process {os.getpid()}, since .+\)\. "
        r"Run it again when that has ended\.$",
        ended.stdout,
        re.MULTILINE,
    )


def test_a_node_by_hand_is_waited_for_too(clones: list[Path], build: Build, node: Node):
    command = [DOIT[0], "-m", "stages.from_file", "--video", "demo", FILE]
    with build.lease(node, lambda _: None):
        run = subprocess.Popen(command, cwd=clones[1], env=environment(), stderr=subprocess.PIPE, text=True)
        assert run.stderr is not None
        assert run.stderr.readline() == f"{node.title}  demo  (by hand)\n"
        time.sleep(1)
        assert build.verdict(node).state == "absent"
    assert "made in" in run.communicate(timeout=_PATIENCE_S)[1]


def test_what_a_run_reads_is_kept_by_clean_and_forgotten_by_forget(clones: list[Path]):
    build = load_build(clones[0], {})
    nodes = build.graph.videos["demo"]
    for stage in ("encode", "denoise"):
        publish(build.store, nodes[stage])
    with build.lease(nodes["denoise"], lambda _: None):
        cleaned = run_doit(clones[1], "clean", "encode")
        assert cleaned.returncode == 1
        assert re.fullmatch(
            rf"{nodes['encode'].title}: is kept, because it is in use by .+\. Remove it after that\.\n", cleaned.stdout
        )
        assert build.store.payload(nodes["encode"].artifact).exists()
        assert run_doit(clones[1], "forget", "encode").returncode == 0
    assert run_doit(clones[1], "clean", "encode").stdout == f"removed: {nodes['encode'].title}\n"


@pytest.mark.parametrize("command", [["list"], ["clean", "export"], ["forget", "export"]])
def test_the_next_command_sweeps_what_a_killed_run_has_left(
    clones: list[Path], build: Build, node: Node, command: list[str]
):
    left = [
        build.store.root / ".drafts/abc.lock",
        build.store.root / ".drafts/abc/new/half",
        build.store.root / ".leases" / f"denoise-{node.key}.json",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (build.store.root / ".lock").touch()
    assert run_doit(clones[1], *command).returncode == 0
    assert not any(path.exists() for path in left)


def test_what_a_node_is_made_from_reaches_back_to_the_first_stage(build: Build, clones: list[Path]):
    nodes = load_build(clones[0], {}).graph.videos["demo"]
    graph = load_build(clones[0], {}).graph
    assert find_ancestors(nodes["export"], graph) == [
        nodes[stage].artifact for stage in ("decode", "denoise", "encode")
    ]
    assert find_ancestors(nodes["encode"], graph) == []
    assert find_ancestors(build.graph.videos["demo"]["denoise"], build.graph) == []
