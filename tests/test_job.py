"""Jobs and what a running stage tells."""

from pathlib import Path

import pytest
from builders import CODE, build_node

from stages.checkpoint import Checkpoint
from stages.job import Job, Report
from stages.keys import Key


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        node=build_node("denoise", inputs={"encode": Key("a" * 32)}, seed=1, note="“ü”\n"),
        checkpoint=Checkpoint(tmp_path, repo="org/model", commit="0" * 40),
        store=tmp_path / "artifacts",
        code=CODE,
        machine={"platform": "cpu"},
    )


def test_a_job_is_one_line_and_read_back_equal(job: Job):
    line = job.to_json()
    assert "\n" not in line
    assert Job.from_json(line) == job
    assert Job.from_json(line).node.key == job.node.key


def test_a_job_knows_where_its_input_is(job: Job):
    assert job.input("encode") == job.store / "encode" / ("a" * 32) / "embeddings.safetensors"


def test_a_stage_gets_no_component_that_is_not_in_its_contract(job: Job):
    with pytest.raises(AssertionError, match="vae"):
        job.component("vae")


def test_a_report_sends_events_and_times_phases():
    events = []
    report = Report(events.append)
    with report.phase("load"):
        report.progress(1, 3, "step")
    report.warn("careful")
    assert events == [
        {"event": "phase", "name": "load"},
        {"event": "progress", "done": 1, "total": 3, "unit": "step"},
        {"event": "warning", "message": "careful"},
    ]
    assert list(report.wall_s) == ["load"]
