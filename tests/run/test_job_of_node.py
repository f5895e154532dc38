"""A node's job follows from its build."""

from pathlib import Path

import pytest

from stages.keys import Digest
from stages.run.build import Build
from stages.run.job_of_node import describe_job
from stages.run.loading import load_build
from tests.project import copy_params

CODE = Digest("c" * 32)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return load_build(copy_params(tmp_path), {})


def test_a_job_names_what_it_reads_and_the_stage_that_makes_it(build: Build):
    chain = build.graph.videos["demo"]
    job = describe_job(build, chain["decode"], CODE, waits=True)
    assert job.inputs == {"latents": chain["denoise"].artifact}
    assert (job.code, job.videos, job.store) == (CODE, ("demo",), build.store.root)
    assert job.rank == 2
    assert [each.name for each in job.components] == ["vae"]


def test_whether_it_waits_for_an_accelerator_is_said(build: Build):
    node = build.graph.videos["demo"]["decode"]
    assert not describe_job(build, node, CODE, waits=False).waits
    assert build.job(node).waits
