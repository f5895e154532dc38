"""How a run is asked to end the making of one node, and how it heeds that."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import Node
from stages.machine.holder import Holder
from stages.run import stopping
from stages.run.stopping import StopWatch, describe_stopped, stop_node
from stages.store.leases import Leases
from stages.store.partial import PartialState, PartialStates
from stages.store.stop_requests import StopRequests
from tests.builders import build_node
from tests.project import copy_built, run_doit
from tests.run.real_denoise import denoising
from tests.store.leases_held import held

pytestmark = pytest.mark.processes

NODE = build_node("denoise", num_inference_steps=20)
LONG = ["denoise.num_inference_steps=2000", "machine.checkpoint_every=1000000"]


def holder_of(leases: Leases, node: Node) -> Holder:
    holder = leases.find_holder(node.artifact)
    assert holder is not None
    return holder


def wait_until(condition: list[bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_makes_a_node_ends_it_when_asked(tmp_path: Path):
    leases, ended = Leases(tmp_path), list[bool]()
    with held(tmp_path, NODE, ()), StopWatch(NODE, leases, ended.append, look_s=0.01) as watch:
        StopRequests(tmp_path).ask(NODE.artifact, holder_of(leases, NODE))
        wait_until(ended)
    assert not any(ended)  # it may save
    here = re.escape(str(Holder.here())).split("since")[0]
    assert re.match(here, watch.asked_by)


def test_what_does_not_end_is_ended_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stopping, "_PATIENCE_S", 0.05)
    leases, killed = Leases(tmp_path), list[bool]()

    def end(at_once: bool) -> None:
        if at_once:
            killed.append(True)

    with held(tmp_path, NODE, ()), StopWatch(NODE, leases, end, look_s=0.01):
        StopRequests(tmp_path).ask(NODE.artifact, holder_of(leases, NODE))
        wait_until(killed)


@pytest.mark.parametrize("is_held", [True, False], ids=["of another holder", "without a lease"])
def test_who_is_not_asked_goes_on(tmp_path: Path, is_held: bool):
    leases, ended = Leases(tmp_path), list[bool]()
    requests = StopRequests(tmp_path)
    requests.ask(NODE.artifact, Holder.here())

    def watch() -> None:
        with StopWatch(NODE, leases, ended.append, look_s=0.01):
            time.sleep(0.2)

    if is_held:
        with held(tmp_path, NODE, ()):
            watch()
    else:
        watch()
    assert ended == []


def test_a_node_that_was_stopped_says_by_whom_and_what_is_kept(tmp_path: Path):
    watch = StopWatch(NODE, Leases(tmp_path), lambda _at_once: None)
    watch.asked_by = "ada on vm (process 7, since 2026-11-29 10:00:00)"
    PartialStates(tmp_path).write(NODE.artifact, PartialState({}, {"num_done": 7}, b"latents"))
    assert watch.explain() == (
        f"{NODE.title}: was stopped by ada on vm (process 7, since 2026-11-29 10:00:00) with `doit stop`; saved after "
        "step 7 of 20."
    )


def test_what_is_left_of_a_stopped_node_is_said_where_it_is_known(tmp_path: Path):
    assert describe_stopped(NODE, NODE.artifact, tmp_path) == f"{NODE.title}: stopped; nothing half-made was kept."
    assert describe_stopped(None, NODE.artifact, tmp_path) == f"{NODE.title}: stopped."


def test_who_does_not_answer_is_named_with_what_to_do(tmp_path: Path):
    leases = replace(Leases(tmp_path), look_s=0.01)
    with held(tmp_path, NODE, ()):
        holder = holder_of(leases, NODE)
        with pytest.raises(StoreError) as error:
            stop_node(NODE.artifact, holder, leases, answer_s=0.1)
        assert StopRequests(tmp_path).find(NODE.artifact, holder) is None
    assert str(error.value) == (
        f"{NODE.title}: {holder} has not answered for 0 s, and may be stopped, of an earlier version, or out of reach. "
        f"End it where it runs: `kill {holder.process}` on {holder.host}."
    )


def test_a_request_is_not_left_behind(tmp_path: Path):
    leases = replace(Leases(tmp_path), look_s=0.01)
    with held(tmp_path, NODE, ()):
        holder = holder_of(leases, NODE)
    stop_node(NODE.artifact, holder, leases)  # who has ended in the meantime
    assert not [*tmp_path.glob(".leases/*.stop")]


def test_a_denoise_that_is_stopped_is_saved_and_the_run_ends_with_one_message(built: Path, tmp_path: Path):
    root = copy_built(built, tmp_path / "project")
    preview = root / "artifacts/previews/demo.webp"  # of the first step
    with denoising(root, "demo", *LONG, "machine.preview_every=1", sign=preview.exists) as process:
        stopped = run_doit(root, "stop", "demo", *LONG)
        output = "".join(process.communicate(timeout=120))
    assert stopped.returncode == 0, stopped.stderr
    said = re.fullmatch(
        r"(denoise:[0-9a-f]{12}): stopped; saved after step (\d+) of 2000\.\n"
        rf"  `doit demo {re.escape(' '.join(LONG))}` makes it, from there on\.\n",
        stopped.stdout,
    )
    assert said, stopped.stdout
    assert process.returncode == 1
    assert re.search(
        rf"{said[1]}: was stopped by \S+ on \S+ \(process \d+, since [^)]*\) with `doit stop`; saved after step "
        rf"{said[2]} of 2000\.\n",
        output,
    )


def test_what_is_not_being_made_cannot_be_stopped(built: Path):
    result = run_doit(built, "stop", "demo")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "StoreError: demo: is not being made at present. Nothing is being made at present.\n"
