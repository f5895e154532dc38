"""What is said of nodes that were being made when a run was interrupted."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.keys import Node
from stages.run.interruption import describe_left
from stages.run.loading import load_build
from stages.store.partial import PartialState, PartialStates
from tests.builders import build_node
from tests.interrupts import interruptible_children
from tests.project import copy_built, environment, run_doit
from tests.run.real_denoise import denoising

pytestmark = pytest.mark.processes

LONG = ["denoise.num_inference_steps=400", "machine.checkpoint_every=1"]


def build_denoise() -> Node:
    return build_node("denoise", num_inference_steps=3000)


def test_of_a_denoise_the_step_is_named_that_was_saved(tmp_path: Path):
    node = build_denoise()
    PartialStates(tmp_path).write(node.artifact, PartialState({}, {"num_done": 413}, b"latents"))
    assert describe_left([node], tmp_path) == f"{node.title}: saved after step 413 of 3000."


def test_where_nothing_was_saved_that_is_said_of_each_node(tmp_path: Path):
    denoise, encode = build_denoise(), build_node("encode")
    assert describe_left([encode, denoise], tmp_path) == (
        f"{encode.title}: nothing half-made was kept; {denoise.title}: nothing half-made was kept."
    )


def test_a_state_that_is_damaged_is_none(tmp_path: Path):
    node, states = build_denoise(), PartialStates(tmp_path)
    states.write(node.artifact, PartialState({}, {"num_done": 413}, b"latents"))
    path = states.folder(node.artifact) / "state"
    path.write_bytes(path.read_bytes()[:-1])
    assert describe_left([node], tmp_path) == f"{node.title}: nothing half-made was kept."


def test_where_nothing_was_being_made_nothing_is_named(tmp_path: Path):
    assert describe_left([], tmp_path) == "Nothing was in the middle of being made."


@pytest.mark.parametrize(
    ("threads", "signals"),
    [([], [signal.SIGINT, signal.SIGTERM]), (["-n", "2"], [signal.SIGHUP, signal.SIGINT])],
    ids=["one thread", "two threads"],
)
def test_a_denoise_that_is_interrupted_says_the_step_from_which_the_next_run_goes_on(
    built: Path, tmp_path: Path, threads: list[str], signals: list[signal.Signals]
):
    root = copy_built(built, tmp_path / "project")
    output, goes_on = interrupt_denoise(root, threads, signals[0])
    assert "goes on after" not in output
    output, _ = interrupt_denoise(root, threads, signals[1])
    assert f"goes on after step {goes_on} of 400" in output


def interrupt_denoise(root: Path, threads: list[str], number: signal.Signals) -> tuple[str, str]:
    """What a run prints that is interrupted when it has saved a step, and the step from which the next one goes on."""
    with denoising(root, *threads, *LONG, sign=lambda: saved_at(root)) as process:
        process.send_signal(number)
        output, error = process.communicate(timeout=120)
    assert process.returncode == 1
    found = re.fullmatch(
        r"interrupted\. denoise:[0-9a-f]{12}: saved after step (\d+) of 400\. `doit` goes on from here\.\n", error
    )
    assert found, error
    return output, found[1]


def saved_at(root: Path) -> list[int]:
    """When the state of each denoise that is not finished was saved."""
    return [state.stat().st_mtime_ns for state in root.glob("artifacts/partial/denoise/*/state")]


def test_a_run_that_only_waited_for_another_one_names_nothing(built: Path, tmp_path: Path):
    root = copy_built(built, tmp_path / "project")
    run_doit(root, "clean", "export")
    build = load_build(root, {})
    with build.leases.hold(build.graph.videos["demo"]["export"], [], wait=lambda _holder, _waited_s: None):
        with interruptible_children():
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "doit"],
                cwd=root,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("export:")
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=120)
    assert error == "interrupted. Nothing was in the middle of being made. `doit` goes on from here.\n"
