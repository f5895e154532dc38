"""The command line of a stage's program: jobs as lines, events as lines."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.keys import Node
from stages.machine.regular_files import digest_file
from stages.models.checkpoint import Checkpoint
from stages.run.fingerprint import Fingerprinter
from stages.run.job import Job
from stages.store.artifacts import Store
from stages.store.stat_cache import StatCache
from tests.builders import CODE, build_job, code_of

pytestmark = pytest.mark.processes

FAULTY = """
from stages.from_file import edge
from stages.run.program import main
edge.run = lambda job, draft, report: 1 / 0
main("stages.from_file")
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job that takes latents from a file: nothing heavy is loaded for it."""
    file = tmp_path / "latents"
    save_file({"latents": np.ones((1, 32, 3, 4, 4), np.float32)}, file)
    node = Node("denoise", {"from_file": digest_file(file)}, {}, {})
    return build_job(node, Checkpoint(tmp_path), tmp_path / "artifacts", code_of("from_file"), {}, file)


def serve(*command: str, job: Job, times: int = 1) -> tuple[list[dict[str, object]], str]:
    """The events of a process that is given a job some times, and what it printed."""
    lines = (job.to_json() + "\n") * times
    served = subprocess.run([sys.executable, *command], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in served.stdout.splitlines()], served.stderr


def test_one_process_does_one_job_after_another(job: Job):
    events, _ = serve("-m", "stages.from_file", job=job, times=2)
    endings = [event["is_same_as_before"] for event in events if event["event"] == "result"]
    assert endings == [None, True]
    assert Store(job.store).verdict(job.node, job.code).is_fresh


def test_run_json_says_which_job_of_its_process_it_was_what_starting_took_and_of_which_code(job: Job):
    def facts() -> dict[str, Any]:
        return json.loads((Store(job.store).folder(job.node.artifact) / "run.json").read_text())

    serve("-m", "stages.from_file", job=job)
    first = facts()
    assert first["number_in_process"] == 1
    assert 0 < first["start_s"] < 600
    assert sum(first["wall_s"].values()) <= first["job_s"] < 600
    fingerprinter = Fingerprinter(StatCache(Path(os.devnull)))
    assert first["sources"] == {name: digest[:12] for name, digest in fingerprinter.digests("stages.from_file").items()}
    serve("-m", "stages.from_file", job=job, times=2)
    assert (facts()["number_in_process"], facts()["start_s"]) == (2, 0.0)


def test_the_log_begins_each_job_with_its_line(job: Job):
    _, log = serve("-m", "stages.from_file", job=job)
    assert log.splitlines()[0] == job.to_json()


def test_a_process_closes_what_it_has_opened(job: Job):
    """stdin stays open until the job is done: a process whose stdin ends in the middle of a job ends at once."""
    reader, writer = os.pipe()
    command = [sys.executable, "-X", "dev", "-m", "stages.from_file", "--events-fd", str(writer)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with os.fdopen(reader) as events, subprocess.Popen(command, pass_fds=[writer], **pipes) as process:
        os.close(writer)
        process.stdin.write(job.to_json() + "\n")
        process.stdin.flush()
        ending = next(event for event in map(json.loads, events) if event["event"] in ("result", "error"))
        _, log = process.communicate(timeout=60)
    assert ending["event"] == "result"
    assert process.returncode == 0, log
    assert "ResourceWarning" not in log


def test_a_job_that_came_just_before_doit_was_killed_is_not_done(job: Job):
    """The process is stopped meanwhile: it finds the job and that doit is gone at the same moment."""
    (reader, events), (lifeline, parent) = os.pipe(), os.pipe()
    command = [sys.executable, "-m", "stages.run", "stages.from_file"]
    options = ["--events-fd", str(events), "--parent-fd", str(lifeline)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*command, *options], pass_fds=[events, lifeline], **pipes) as process:
        os.close(events)
        os.close(lifeline)
        line = job.to_json().encode() + b"\n"
        process.stdin.write(line)
        process.stdin.flush()
        with os.fdopen(reader) as file:
            assert next(event for event in map(json.loads, file) if event["event"] in ("result", "error"))
            Store(job.store).remove(job.node.artifact)
            process.send_signal(signal.SIGSTOP)
            process.stdin.write(line)
            process.stdin.close()
            os.close(parent)
            process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 1
            assert [event for event in map(json.loads, file) if event["event"] != "accepted"] == []
    assert Store(job.store).verdict(job.node, job.code).state == "absent"


def test_an_error_that_is_the_users_has_a_name_and_is_no_end_of_the_process(job: Job):
    assert job.from_file is not None
    job.from_file.unlink()
    events, _ = serve("-m", "stages.from_file", job=job, times=2)
    assert [event["event"] for event in events if event["event"] in ("error", "result")] == ["error", "error"]
    assert events[-1]["kind"]
    assert str(job.from_file) in str(events[-1]["message"])
    assert str(events[-1]["traceback"]).startswith("Traceback")


def test_a_job_for_other_code_than_the_process_runs_is_not_done(job: Job):
    """Source that is edited after doit has looked at it: what it makes must not be taken for what it made before."""
    events, _ = serve("-m", "stages.from_file", job=replace(job, code=CODE))
    assert events[-1]["message"] == (
        f"{job.node.title}: the code that makes it was changed meanwhile. Run `doit` again."
    )
    assert Store(job.store).verdict(job.node, CODE).state == "absent"


def test_a_fault_of_the_program_has_no_kind_and_its_traceback_is_in_the_log(job: Job):
    events, log = serve("-c", FAULTY, job=job)
    ending = dict(events[-1])
    assert str(ending.pop("traceback")) in log
    assert ending == {"event": "error", "kind": "", "message": "ZeroDivisionError: division by zero"}


@pytest.mark.parametrize("arguments", [["--pdb"], ["denoise.seed=1"], ["--video", "demo", "--events-fd", "3"]])
def test_options_that_do_not_go_together_are_reported(arguments: list[str]):
    command = [sys.executable, "-m", "stages.from_file", *arguments]
    result = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "--video" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--video"], ["--events-fd", "x"]])
def test_a_wrong_option_is_exit_code_1_as_every_error(arguments: list[str]):
    command = [sys.executable, "-m", "stages.from_file", *arguments]
    result = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    message = result.stderr.splitlines()[-1]
    assert message.startswith("python -m stages.from_file: ")
    assert message.endswith(". --help says what there is.")


def test_help_says_how_a_node_is_made_by_hand():
    command = [sys.executable, "-m", "stages.from_file", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "python -m stages.from_file --video demo" in text
    for option in ("--video", "--pdb", "--debug", "stage.name=value"):
        assert option in text


def test_help_of_preflight_names_the_command_that_starts_it():
    command = [sys.executable, "-m", "stages.preflight", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "see `doit help preflight`" in result.stdout
    assert "examples:" not in result.stdout
