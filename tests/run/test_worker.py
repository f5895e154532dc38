"""Processes of the stages, with the real export stage, the quickest to start."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from stages.errors import StageError
from stages.keys import Node
from stages.machine.regular_files import digest_file
from stages.models.checkpoint import Checkpoint
from stages.pipeline.stage import ACCELERATOR, Program
from stages.run.fingerprint import fingerprint
from stages.run.job import Job
from stages.run.runner import Event
from stages.run.worker import Workers
from stages.store.artifacts import Store
from stages.store.manifest import RUN
from stages.store.stat_cache import StatCache
from stages.tensors.files import write_tensors
from tests.builders import CODE, build_job, code_of
from tests.interrupts import interruptible_children
from tests.run.export_jobs import build_store, export_job, ignore, job_from_file, replace_program

pytestmark = pytest.mark.processes

IN_TIME_S = 1.0


class Done(NamedTuple):
    """Two jobs that a run has done, one after the other: what it has left."""

    store: Store
    job: Job
    events: list[Event]  # of the first
    process_ids: list[dict[str, int]]  # after each
    logs: list[Path]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("done")
    store, workers = build_store(folder), Workers(folder, folder / "logs")
    job, events, process_ids = export_job(store), list[Event](), []
    for each, observe in ((job, events.append), (export_job(store, fps=9), ignore)):
        assert workers.run(each, observe)["event"] == "result"
        process_ids.append(dict(workers.process_ids))
    workers.close()
    return Done(store, job, events, process_ids, [*(folder / "logs").iterdir()])


def test_a_job_makes_an_artifact_and_reports_its_progress(done: Done):
    assert done.store.verdict(done.job.node, done.job.code).is_fresh
    assert [event["done"] for event in done.events if event["event"] == "progress"] == [0, 1, 2, 3, 4, 5]


def test_run_json_has_times_memory_versions_and_machine(done: Done):
    run = json.loads((done.store.folder(done.job.node.artifact) / RUN).read_text())
    assert set(run) == {
        "components", "device", "environment", "host", "job_s", "machine", "number_in_process", "peak_memory_bytes",
        "sources", "start_s", "started", "steady_s",
        "versions", "wall_s",
    }  # fmt: skip
    assert set(run["wall_s"]) == {"export"}
    assert set(run["versions"]) >= {"av", "numpy"}
    assert run["peak_memory_bytes"] > 10 * 1024**2


def test_one_process_serves_all_jobs_of_a_stage(done: Done):
    first, second = done.process_ids
    assert second == first
    assert len(done.logs) == 1


_STUB = """
import os, sys, time
for _ in sys.stdin:
    os.write(int(sys.argv[3]), b'{"event": "accepted"}\\n{"event": "progress"}\\n{"event": "result"}\\n')
time.sleep(0.2)
"""


@pytest.fixture
def stubs(tmp_path: Path) -> Iterator[Workers]:
    """Workers whose programs do nothing, and take a moment to end."""
    stubs = replace_program(tmp_path, _STUB)
    yield stubs
    stubs.close()


def encode_job(store: Store) -> Job:
    """Of a program that has the same device as export."""
    return build_job(Node("encode", {}, {}, {}), Checkpoint(Path()), store.root, CODE, {})


def test_a_stage_for_the_same_device_makes_the_other_leave(store: Store, stubs: Workers):
    stubs.run(export_job(store), ignore)
    stubs.run(encode_job(store), ignore)
    assert stubs.process_ids.keys() == {"encode"}


def is_running(process_id: int) -> bool:
    return Path(f"/proc/{process_id}").exists()


def wait_until_gone(process_id: int) -> bool:
    deadline = time.monotonic() + 60
    while is_running(process_id) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(process_id)


def test_a_program_is_started_ahead_once_and_then_does_its_jobs(store: Store, workers: Workers, tmp_path: Path):
    export, other = export_job(store), job_from_file(store, tmp_path)
    workers.run(other, ignore, ahead=export.program)
    ahead = workers.process_ids["export"]
    workers.run(replace(other, number=2), ignore, ahead=export.program)
    assert workers.run(export, ignore)["event"] == "result"
    assert workers.process_ids["export"] == ahead
    assert len(list((tmp_path / "logs").iterdir())) == 2


def test_a_program_that_was_started_ahead_does_not_leave_for_another_of_its_device(
    store: Store, stubs: Workers, tmp_path: Path
):
    """It has only imported its libraries."""
    stubs.run(job_from_file(store, tmp_path), ignore, ahead=export_job(store).program)
    ahead = stubs.process_ids["export"]
    stubs.run(encode_job(store), ignore)
    assert stubs.process_ids["export"] == ahead


def test_when_a_job_begins_the_other_program_of_the_device_has_ended(store: Store, stubs: Workers):
    stubs.run(export_job(store), ignore)
    before = stubs.process_ids["export"]
    seen: list[bool] = []
    stubs.run(
        encode_job(store), lambda event: seen.append(is_running(before)) if event["event"] == "progress" else None
    )
    assert seen == [False]


def test_a_program_that_was_started_ahead_and_is_not_needed_ends_without_a_word(
    store: Store, workers: Workers, tmp_path: Path
):
    workers.run(job_from_file(store, tmp_path), ignore, ahead=export_job(store).program)
    ahead = workers.process_ids["export"]
    workers.close()
    assert workers.process_ids == {}
    assert not is_running(ahead)
    (log,) = (tmp_path / "logs").glob("export-*")
    assert log.read_text() == ""


def end(process_id: int, number: signal.Signals) -> None:
    """Send a signal to a process of a stage, and wait until it has ended."""
    os.kill(process_id, number)
    os.waitid(os.P_PID, process_id, os.WEXITED | os.WNOWAIT)


def test_a_process_that_was_killed_before_it_had_the_job_is_started_again(
    store: Store, workers: Workers, tmp_path: Path
):
    events: list[Event] = []
    program = export_job(store).program
    workers.run(job_from_file(store, tmp_path), ignore, ahead=program)
    end(workers.process_ids["export"], signal.SIGKILL)
    assert workers.run(export_job(store), events.append)["event"] == "result"
    end(workers.process_ids["export"], signal.SIGTERM)
    assert workers.run(export_job(store, fps=9), events.append)["event"] == "result"
    assert [event["message"] for event in events if event["event"] == "warning"] == [
        "a process that waited for it was ended by SIGKILL, perhaps because memory ran out; another one is started.",
        "a process that waited for it ended with exit code 1 (asked to end by SIGTERM); another one is started.",
    ]
    assert len(list((tmp_path / "logs").glob("export-*"))) == 3


@pytest.mark.parametrize("is_ahead", [False, True])
def test_a_process_that_cannot_begin_is_started_no_more_than_once_for_a_job(
    store: Store, tmp_path: Path, is_ahead: bool
):
    """Besides one that was started ahead."""
    workers, job = replace_program(tmp_path, "raise SystemExit('no such library')"), export_job(store)
    if is_ahead:
        workers.start(job.program)
    with pytest.raises(StageError) as error:
        workers.run(job, ignore)
    assert str(error.value).startswith(
        f"{job.node.title}: its process ended with exit code 1 (no such library). What it printed: "
    )
    assert len(list((tmp_path / "logs").iterdir())) == 1 + is_ahead
    assert workers.process_ids == {}


@pytest.mark.parametrize("then", ["time.sleep(60)", "pass"], ids=["importing", "waiting"])
def test_a_program_that_was_started_ahead_ends_when_the_parent_is_killed(tmp_path: Path, then: str):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/__init__.py").touch()
    edge = f"import time\nprint('imported', flush=True)\n{then}\ndef open_stage(): ...\n"
    (tmp_path / "own/edge.py").write_text(edge)
    program = """
import os, signal, time
from pathlib import Path
from stages.pipeline.stage import HOST, Program
from stages.run.worker import Workers
workers = Workers(Path.cwd(), Path("logs"))
workers.start(Program("own", HOST))
while not any(log.read_text() == "imported\\n" for log in Path("logs").iterdir()):
    time.sleep(0.01)
print(workers.process_ids["own"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert wait_until_gone(int(ended.stdout))


def test_a_program_that_was_started_ahead_and_still_imports_does_not_keep_a_run_from_ending(
    store: Store, tmp_path: Path
):
    workers = replace_program(tmp_path, "import time; time.sleep(60)")
    workers.start(export_job(store).program)
    process_id = workers.process_ids["export"]
    began = time.monotonic()
    workers.close()
    assert time.monotonic() - began < IN_TIME_S
    assert not is_running(process_id)


def test_after_the_end_of_a_run_no_process_is_started(store: Store, stubs: Workers):
    """Else a thread whose process has just been ended would start another one, which nobody ends."""
    job = export_job(store)
    stubs.run(job, ignore)
    stubs.close()
    with pytest.raises(StageError) as error:
        stubs.run(job, ignore)
    assert str(error.value) == "export: its process is not started, because this run is ending."
    assert stubs.process_ids == {}


_STUB_AT_WORK = """
import os, sys, time
sys.stdin.readline()
os.write(int(sys.argv[3]), b'{"event": "accepted"}\\n{"event": "progress"}\\n')
time.sleep(60)
"""


def test_the_end_of_a_run_names_the_nodes_that_were_being_made(store: Store, tmp_path: Path):
    workers, job, at_work = replace_program(tmp_path, _STUB_AT_WORK), export_job(store), threading.Event()

    def make() -> None:
        with pytest.raises(StageError):
            workers.run(job, lambda event: at_work.set() if event["event"] == "progress" else None)

    thread = threading.Thread(target=make)
    thread.start()
    assert at_work.wait(60)
    assert workers.close() == [job.node]
    thread.join()


def test_the_end_of_a_run_names_no_node_that_was_made(store: Store, stubs: Workers):
    stubs.run(export_job(store), ignore)
    assert stubs.close() == []


def test_a_job_whose_process_is_ended_with_the_run_starts_no_other(store: Store, stubs: Workers):
    job, events = export_job(store), []
    stubs.start(job.program)

    def end_all(event: Event) -> None:
        events.append(event)
        if event.get("name") == "starting":
            stubs.close()

    with pytest.raises(StageError, match=r"^export: its process is not started, because this run is ending\.$"):
        stubs.run(job, end_all)
    assert [event["event"] for event in events] == ["phase"]


_HOLDING = """
from pathlib import Path
from stages.machine.device_lock import hold_devices
def open_stage():
    return run
def run(job, draft, report):
    hold_devices(["tpu-0"], lambda name, holder: report.show_waiting(f"waits for {name}"), folder=Path.cwd())
    report.note_devices()
    (draft / job.makes.payload).write_bytes(b"x")
    return {}
"""


@pytest.fixture
def holding(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job of a program that opens the accelerator "tpu-0"."""
    (tmp_path / "holding").mkdir()
    (tmp_path / "holding/__init__.py").touch()
    (tmp_path / "holding/edge.py").write_text(_HOLDING)
    monkeypatch.syspath_prepend(tmp_path)
    code = fingerprint("holding", StatCache(Path(os.devnull)))
    return replace(export_job(store), program=Program("holding", ACCELERATOR), code=code)


def test_a_job_that_is_stopped_while_it_waits_for_its_turn_is_not_begun_and_ends_no_process(tmp_path: Path):
    store, begun, goes_on = build_store(tmp_path), threading.Event(), threading.Event()
    workers = Workers(tmp_path, tmp_path / "logs")
    first, second = export_job(store), export_job(store, fps=9)

    def wait(event: Event) -> None:
        if event["event"] == "progress":
            begun.set()
            assert goes_on.wait(60)

    with ThreadPoolExecutor() as pool:
        ending = pool.submit(workers.run, first, wait)
        assert begun.wait(60)
        waiting = pool.submit(workers.run, second, ignore)
        while not any(turns.num_waiting for turns in workers._turns.values()):
            time.sleep(0.001)
        workers.stop(second.node, at_once=True)
        with pytest.raises(StageError, match=f"^{second.node.title}: was stopped before it had begun"):
            waiting.result(60)
        goes_on.set()
        assert ending.result(60)["event"] == "result"
    assert workers.run(second, ignore)["event"] == "result"  # of a later run of it nobody has said so
    workers.close()


def test_an_accelerator_that_is_kept_for_the_next_job_is_given_up_for_a_run_that_waits_for_it(
    workers: Workers, tmp_path: Path, holding: Job
):
    """Else two runs, each of which waits for what the other has, would wait for ever."""
    assert workers.run(holding, ignore)["event"] == "result"
    other, events = Workers(tmp_path, tmp_path / "logs"), []
    is_waiting = threading.Event()

    def observe(event: Event) -> None:
        events.append(event)
        if event.get("name") == "waits for tpu-0":
            is_waiting.set()

    with ThreadPoolExecutor() as pool:
        ending = pool.submit(other.run, holding, observe)
        assert is_waiting.wait(60)
        assert not ending.done()
        assert workers.process_ids.keys() == {"holding"}
        workers.give_up_devices()
        assert ending.result()["event"] == "result"
    assert workers.process_ids == {}
    other.close()


def test_a_process_is_not_given_up_while_another_thread_looks_for_it(workers: Workers, holding: Job):
    """With `doit -n 4` that thread would not find what it has just seen."""
    workers.run(holding, ignore)
    with ThreadPoolExecutor() as pool:
        with workers._lock:
            given_up = pool.submit(workers.give_up_devices)
            with pytest.raises(TimeoutError):
                given_up.result(0.2)
            assert holding.program in workers._running
        given_up.result(60)
    assert workers.process_ids == {}


def test_a_process_without_an_accelerator_is_kept(store: Store, workers: Workers):
    workers.run(export_job(store), ignore)
    workers.give_up_devices()
    assert workers.process_ids.keys() == {"export"}


def test_a_process_that_was_stopped_is_known_to_stand_still(store: Store, workers: Workers):
    job = export_job(store)
    assert not workers.is_stopped(job.program)
    workers.run(job, ignore)
    assert not workers.is_stopped(job.program)
    os.kill(workers.process_ids["export"], signal.SIGSTOP)
    deadline = time.monotonic() + 20
    while not workers.is_stopped(job.program):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(workers.process_ids["export"], signal.SIGCONT)
    while workers.is_stopped(job.program):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_file_from_elsewhere_makes_no_stage_leave(store: Store, workers: Workers, tmp_path: Path):
    write_tensors(tmp_path / "file", {"latents": np.ones((1, 32, 1, 2, 2), np.float32)})
    node = Node("denoise", {"from_file": digest_file(tmp_path / "file")}, {}, {})
    workers.run(export_job(store), ignore)
    workers.run(build_job(node, Checkpoint(Path()), store.root, code_of("from_file"), {}, tmp_path / "file"), ignore)
    assert workers.process_ids.keys() == {"export", "from_file"}
    assert store.verdict(node, code_of("from_file")).is_fresh


def test_jobs_of_several_threads_are_done_by_one_process(store: Store, workers: Workers, tmp_path: Path):
    jobs = [export_job(store, fps=fps) for fps in range(1, 7)]
    with ThreadPoolExecutor(4) as pool:
        endings = list(pool.map(lambda job: workers.run(job, ignore), jobs))
    assert [ending["event"] for ending in endings] == ["result"] * len(jobs)
    assert len(list((tmp_path / "logs").iterdir())) == 1


def test_an_error_of_the_stage_is_reported_as_it_is(store: Store, workers: Workers):
    job = export_job(store)
    store.payload(job.inputs["frames"]).write_bytes(b"cut")
    with pytest.raises(
        StageError, match=r"^StoreError: .*frames.safetensors: xxh3 is \w{32}, the manifest says \w{32}; the file was"
    ):
        workers.run(job, ignore)
    assert store.verdict(job.node, job.code).state == "absent"


def test_an_unexpected_error_names_the_log_that_has_the_traceback(store: Store, workers: Workers):
    with pytest.raises(StageError) as error:
        workers.run(export_job(store, fps="many"), ignore)
    log = Path(str(error.value).rsplit(": ", 1)[1])
    assert "This is a fault of the program." in str(error.value)
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_when_the_parent_dies_in_the_middle_of_a_job_the_process_does_too(
    store: Store, tmp_path: Path, ending: signal.Signals
):
    program = """
import os, sys
from pathlib import Path
from stages.run.job import Job
from stages.run.worker import Workers
workers = Workers(Path.cwd(), Path("logs"))
def end(event):
    if event["event"] == "progress":
        print(workers.process_ids["export"], flush=True)
        os.kill(os.getpid(), int(sys.argv[2]))
workers.run(Job.from_json(sys.argv[1]), end)
"""
    command = [sys.executable, "-c", program, export_job(store, crf=1).to_json(), str(int(ending))]
    with interruptible_children():
        ended = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == -ending
    assert wait_until_gone(int(ended.stdout.split()[0]))


def test_the_log_begins_a_job_with_the_line_that_does_it_again(done: Done):
    (log,) = done.logs
    line = log.read_text().splitlines()[0]
    done.store.remove(done.job.node.artifact)
    by_hand = subprocess.run(
        [sys.executable, "-m", "stages.export"], input=line + "\n", capture_output=True, text=True, check=True
    )
    assert json.loads(by_hand.stdout.splitlines()[-1])["event"] == "result"
    assert done.store.verdict(done.job.node, done.job.code).is_fresh
