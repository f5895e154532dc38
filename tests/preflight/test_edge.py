"""What the process does with a job."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import pytest

from stages.errors import CheckpointError, StageError
from stages.keys import Digest
from stages.machine.executables import FOLDER, Executables, Program
from stages.models.checkpoint import Checkpoint
from stages.pipeline.stages import Pipeline
from stages.preflight import edge
from stages.preflight.lowering import lower
from stages.preflight.questions import FIGURES, PROGRAM, ask, describe_target
from stages.preflight.target import Target
from stages.request.params import load_params
from stages.run.job import Job
from stages.run.report import Report
from tests.preflight_builders import write_project

pytestmark = pytest.mark.compiles

QUIET = Report(lambda _event: None)


def build_job(root: Path, stage: str) -> Job:
    params = load_params(root, {}, Pipeline())
    questions = ask(params.videos["demo"], root, describe_target("", params.machine), mesh=params.machine.mesh)
    (node,) = (question.node for question in questions if question.stage == stage)
    return Job(
        node=node,
        parameters=node.parameters,
        program=PROGRAM,
        makes=FIGURES,
        inputs={},
        rank=0,
        components=(),
        checkpoint=Checkpoint(Path()),
        store=root / "artifacts",
        code=Digest("c" * 32),
        machine=params.machine.model_dump(),
    )


def test_figures_are_written_and_the_executable_is_kept_for_a_run(tmp_path: Path):
    job = build_job(write_project(tmp_path), "decode")
    facts = edge.run(job, tmp_path, QUIET)
    assert (facts["device"], facts["was_loaded"]) == ("cpu", False)
    text = (tmp_path / "figures.json").read_text()
    assert json.loads(text)["device_kind"] == "cpu"
    assert "compile_s" not in text  # what differs from time to time is for run.json
    assert len([*(job.store / FOLDER).iterdir()]) == 1
    assert edge.run(job, tmp_path, QUIET)["was_loaded"] is True
    assert (tmp_path / "figures.json").read_text() == text


def test_a_checkpoint_that_cannot_be_run_is_reported(tmp_path: Path):
    config = write_project(tmp_path) / "model" / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"num_layers": 2', '"num_layers": 0'))
    with pytest.raises(CheckpointError, match="`num_layers` is 0, not a whole number from 1 to 1000"):
        edge.run(build_job(tmp_path, "denoise"), tmp_path, QUIET)


def test_what_the_compiler_refuses_is_an_answer(tmp_path: Path):
    job = build_job(write_project(tmp_path), "decode")
    lowered = lower(job.node.parameters, jax.devices())
    lowered = replace(lowered, program=replace(lowered.program, compiler_options={"no_such_option": "1"}))
    figures, details = edge.compile_lowered(
        lowered, Target(jax.devices(), 2**30), Executables(job.store, warn=pytest.fail)
    )
    assert not figures.fits
    assert "no_such_option" in figures.refusal
    assert details["was_loaded"] is False


class Unreachable(Program):
    """A program whose compiler cannot be asked."""

    def compile(self) -> jax.stages.Compiled:
        raise jax.errors.JaxRuntimeError("UNAVAILABLE: the TPU is in use")


def test_what_says_nothing_of_the_program_is_no_answer(tmp_path: Path):
    job = build_job(write_project(tmp_path), "decode")
    lowered = lower(job.node.parameters, jax.devices())
    lowered = replace(lowered, program=Unreachable(**vars(lowered.program)))
    with pytest.raises(StageError) as caught:
        edge.compile_lowered(lowered, Target(jax.devices(), 2**30), Executables(job.store, warn=pytest.fail))
    assert str(caught.value) == "the compiler gave no answer (UNAVAILABLE: the TPU is in use). Ask again."
