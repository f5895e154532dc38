"""How a process of a stage ends, and what is said of it."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from stages.errors import StageError
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.run import worker_process
from stages.run.runner import Event
from stages.run.worker import Workers
from stages.store.artifacts import Store
from tests.builders import build_job, code_of
from tests.run.export_jobs import export_job, job_from_file, replace_program
from tests.several_hosts import free_port

pytestmark = pytest.mark.processes


def test_a_killed_process_is_reported_and_leaves_nothing(store: Store, workers: Workers):
    job = export_job(store)

    def kill(event: Event) -> None:
        if event["event"] == "progress":
            os.kill(workers.process_ids["export"], signal.SIGKILL)

    with pytest.raises(StageError) as error:
        workers.run(job, kill)
    message = re.sub(r"\d+\.\d", "N", str(error.value))
    assert message.startswith(
        f"{job.node.title}: its process was ended by SIGKILL, perhaps because memory ran out. The process had N GiB; "
        "this machine offers N GiB, of which N are free. It needs a machine with more memory. What was finished is "
        "kept. What it printed: "
    )
    assert workers.process_ids == {}
    store.sweep_drafts()
    assert store.verdict(job.node, job.code).state == "absent"
    assert list((store.root / ".drafts").iterdir()) == []


def test_a_process_that_jax_ends_because_of_another_host_is_reported(store: Store, workers: Workers):
    encode = next((store.root / "encode").iterdir()).name
    machine = {"platform": "cpu", "hosts": f"localhost:{free_port()} 1/2"}  # of which host 0 is never started
    node = Node("denoise", {}, {}, {"encode": encode})
    job = build_job(node, Checkpoint(Path()), store.root, code_of("denoise"), machine)

    def end(event: Event) -> None:
        if event.get("name") == "join":  # as JAX does, minutes later
            os.kill(workers.process_ids["denoise"], signal.SIGABRT)

    with pytest.raises(StageError) as error:
        workers.run(job, end)
    assert str(error.value).startswith(
        f"{job.node.title}: its process was ended by SIGABRT, as JAX does when another host has ended, cannot be "
        "reached or was never started (docs/many-hosts.md). What it printed: "
    )


def abort_after(event: Event, store: Store, folder: Path) -> tuple[str, list[Event]]:
    """What is said of a process that sends this event and aborts, and the events that were observed."""
    lines = "".join(json.dumps(each) + "\n" for each in ({"event": "accepted"}, event)).encode()
    workers = replace_program(
        folder, f"import os, sys\nsys.stdin.readline()\nos.write(int(sys.argv[3]), {lines})\nos.abort()\n"
    )
    observed: list[Event] = []
    with pytest.raises(StageError) as error:
        workers.run(export_job(store), observed.append)
    return str(error.value).split(". What it printed:")[0].split("was ended by ")[1], observed[1:]


def test_a_process_that_joins_other_hosts_says_so_by_an_event_that_is_not_shown(store: Store, tmp_path: Path):
    ending, observed = abort_after({"event": "joining"}, store, tmp_path)
    assert ending.startswith("SIGABRT, as JAX does when another host has ended")
    assert observed == []


def test_the_name_of_a_phase_says_nothing_of_other_hosts(store: Store, tmp_path: Path):
    phase = {"event": "phase", "name": "join"}
    assert abort_after(phase, store, tmp_path) == ("SIGABRT (nothing was printed)", [phase])


def test_a_process_that_is_asked_to_end_has_a_moment_for_that_and_is_then_killed(store: Store, tmp_path: Path):
    program = """
import os, signal, sys, time
def end(*_):
    if sys.argv[1] == "stages.export":
        print("saved", flush=True)
        os._exit(1)
signal.signal(signal.SIGTERM, end)
sys.stdin.readline()
os.write(int(sys.argv[3]), b'{"event": "accepted"}\\n{"event": "progress"}\\n')
while True:
    time.sleep(60)
"""
    job, other = export_job(store), job_from_file(store, tmp_path)

    def interrupt(_event: Event) -> None:
        if _event["event"] == "progress":
            raise KeyboardInterrupt

    workers = replace_program(tmp_path, program)
    took_s = []
    for each in (job, other):
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            workers.run(each, interrupt)
        took_s.append(time.monotonic() - began)
    (log,) = (tmp_path / "logs").glob("export-*")
    assert log.read_text() == "saved\n"
    assert worker_process._PATIENCE_TO_SAVE_S <= took_s[1] < worker_process._PATIENCE_TO_SAVE_S + 30
    assert workers.process_ids == {}
