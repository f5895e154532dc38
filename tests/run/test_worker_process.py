"""How a process of a stage ends, and what is said of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.errors import StageError
from stages.run import worker_process
from stages.run.runner import Event
from stages.run.worker import Workers
from stages.store.artifacts import Store
from tests.devices import run_python
from tests.interrupts import interruptible_children
from tests.run.export_jobs import export_job, job_from_file, replace_program

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


def end_by(ending: str, store: Store, folder: Path, *events: Event) -> tuple[str, list[Event]]:
    """What is said of a process that takes a job, sends events and ends so; and the events that were observed."""
    lines = "".join(json.dumps(each) + "\n" for each in ({"event": "accepted"}, *events)).encode()
    workers = replace_program(
        folder, f"import os, sys\nsys.stdin.readline()\nos.write(int(sys.argv[3]), {lines})\n{ending}\n"
    )
    observed: list[Event] = []
    with pytest.raises(StageError) as error:
        workers.run(export_job(store), observed.append)
    return str(error.value).split(" What it printed:")[0].split(": its process ")[1], observed[1:]


def abort_after(event: Event, store: Store, folder: Path) -> tuple[str, list[Event]]:
    ending, observed = end_by("os.abort()", store, folder, event)
    return ending.removeprefix("was ended by ").removesuffix("."), observed


def test_a_signal_without_a_name_is_said_by_its_number(store: Store, tmp_path: Path):
    assert end_by("os.kill(os.getpid(), 40)", store, tmp_path)[0] == "was ended by signal 40."


def test_of_a_long_log_the_last_line_is_said(store: Store, tmp_path: Path):
    program = "print('x' * 1_000_000); print('\\u00e4' * 40_000); print('the last line'); print(); raise SystemExit(3)"
    assert end_by(program, store, tmp_path)[0] == "ended with exit code 3 (the last line)."


def test_a_process_whose_log_somebody_has_deleted_is_reported(store: Store, tmp_path: Path):
    program = f"import glob; [os.unlink(log) for log in glob.glob({str(tmp_path / '**/*.log')!r}, recursive=True)]"
    said = end_by(f"{program}; raise SystemExit(3)", store, tmp_path)[0]
    assert said == "ended with exit code 3 (its log cannot be read: No such file or directory)."


# Run apart: the kernel's figure is at least that of the parent, of which a child was a copy, and tests need gigabytes.
KILLED_AFTER_A_LARGE_CHILD = """
import resource, subprocess, sys
from pathlib import Path
from stages.run.job import PEAK_UNIT
from stages.store.artifacts import Store
from tests.run.test_worker_process import end_by
subprocess.run([sys.executable, "-c", "bytearray(1 << 30)"], check=True)
assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * PEAK_UNIT > 1 << 30
print(end_by("os.kill(os.getpid(), 9)", Store(Path(sys.argv[1])), Path(sys.argv[2]))[0])
"""


def test_the_memory_that_is_said_is_that_of_the_process_and_of_no_other_child(store: Store, tmp_path: Path):
    ending = run_python("-c", KILLED_AFTER_A_LARGE_CHILD, store.root, tmp_path, settings={})
    found = re.search(r"The process had (\d\.\d) GiB; this machine offers ", ending)
    assert found
    assert float(found[1]) < 1


def test_where_another_thread_has_seen_the_end_no_memory_is_said(store: Store, tmp_path: Path):
    """As when a run is interrupted while a process dies."""
    (tmp_path / "go").touch()
    workers = replace_program(tmp_path, "import os, sys\nsys.stdin.readline()\nos.kill(os.getpid(), 9)\n")
    job = export_job(store)
    worker = workers.start(job.program)
    assert not worker.accept(job)
    worker._process.wait()
    worker._process.returncode, code = None, worker._process.returncode  # as it is while the other thread waits
    assert code == -signal.SIGKILL
    message = str(worker.died(job))
    assert "The process had" not in message
    workers.close()


def test_a_process_that_joins_other_hosts_says_so_by_an_event_that_is_not_shown(store: Store, tmp_path: Path):
    ending, observed = abort_after({"event": "joining"}, store, tmp_path)
    assert ending == (
        "SIGABRT, as JAX does when another host has ended, cannot be reached or was never started (docs/many-hosts.md)"
    )
    assert observed == []


def test_the_name_of_a_phase_says_nothing_of_other_hosts(store: Store, tmp_path: Path):
    phase = {"event": "phase", "name": "join"}
    assert abort_after(phase, store, tmp_path) == ("SIGABRT (nothing was printed)", [phase])


_SAVING = """
import os, signal, sys, time
def end(*_):
    if sys.argv[1] == "stages.export":
        time.sleep(0.5)
        print("saved", flush=True)
        os._exit(1)
signal.signal(signal.SIGTERM, end)
sys.stdin.readline()
os.write(int(sys.argv[3]), b'{"event": "accepted"}\\n{"event": "progress"}\\n')
while True:
    time.sleep(60)
"""


def test_a_process_that_is_asked_to_end_has_a_moment_for_that_and_is_then_killed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker_process, "SAVE_S", patience_s := 2.0)
    job, other = export_job(store), job_from_file(store, tmp_path)

    def interrupt(event: Event) -> None:
        if event["event"] == "progress":
            raise KeyboardInterrupt

    workers = replace_program(tmp_path, _SAVING)
    took_s = []
    for each in (job, other):
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            workers.run(each, interrupt)
        took_s.append(time.monotonic() - began)
    (log,) = (tmp_path / "logs").glob("export-*")
    assert log.read_text() == "saved\n"
    assert patience_s <= took_s[1] < patience_s + 30
    assert workers.process_ids == {}


_INTERRUPTED_TWICE = """
import sys
from contextlib import nullcontext
from pathlib import Path
from stages.run.job import Job
from stages.run.signals import as_interrupts
from stages.run.worker import Workers
def show(event):
    if event["event"] == "progress":
        print("working", flush=True)
try:
    with {block}:
        Workers(Path(sys.argv[2]), Path(sys.argv[2]) / "logs").run(Job.from_json(sys.argv[1]), show)
except KeyboardInterrupt:
    print("interrupted")
"""
TERM, HUP, INT = signal.SIGTERM, signal.SIGHUP, signal.SIGINT


@pytest.mark.parametrize(
    ("block", "numbers"),
    [
        ("as_interrupts()", (TERM, HUP)),
        ("as_interrupts()", (HUP, TERM)),
        ("as_interrupts()", (INT, INT)),
        ("as_interrupts()", (TERM, INT)),
        ("nullcontext()", (INT, INT)),
    ],
)
def test_what_is_saved_because_of_a_signal_is_not_lost_by_a_second_one(
    store: Store, tmp_path: Path, block: str, numbers: tuple[signal.Signals, ...]
):
    replace_program(tmp_path, _SAVING)
    command = [sys.executable, "-c", _INTERRUPTED_TWICE.format(block=block), export_job(store).to_json()]
    with interruptible_children():
        process = subprocess.Popen([*command, tmp_path], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.15)
        assert process.wait(30) == 0
        assert process.stdout.read() == "interrupted\n"
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_text() == "saved\n"
