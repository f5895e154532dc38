"""What an actor takes of a host."""

from pathlib import Path

import pytest

from stages.fleet.needs import RANK, SLICE, TOPOLOGY, Needs, find_needs
from stages.fleet.status import Host
from stages.models.checkpoint import Checkpoint
from stages.pipeline.encode import STAGE as ENCODE
from stages.run.job import Job
from tests.builders import CODE, build_job, build_node
from tests.project import SHAPES

PLAIN, SMALL, LARGE = (Host("h", "", {"CPU": 8.0} | chips) for chips in ({}, {"TPU": 4.0}, {"TPU": 8.0}))


def build(stage: str, platform: str = "auto", hosts: str = "auto") -> Job:
    machine = {"platform": platform, "hosts": hosts}
    return build_job(build_node(stage), Checkpoint(SHAPES), Path("/store"), CODE, machine)


def slice_host(topology: str, num_chips: int = 4) -> Host:
    """A host of a slice, as Ray describes it."""
    return Host("h", "", {"CPU": 8.0, "TPU": float(num_chips)}, {SLICE: "a", TOPOLOGY: topology, RANK: "1"})


@pytest.mark.parametrize("stage", ["denoise", "decode"])
def test_a_stage_of_an_accelerator_takes_all_chips_of_the_smallest_host(stage: str):
    assert find_needs(build(stage), [PLAIN, LARGE, SMALL]) == Needs(chips={"TPU": 4})


def test_what_joins_hosts_takes_all_hosts_of_the_smallest_slice_and_others_one_host():
    hosts = [PLAIN, LARGE, slice_host("4x4"), slice_host("2x2x2")]
    needs = find_needs(build("denoise"), hosts)
    assert needs == Needs(chips={"TPU": 4}, num_hosts=2, topology="2x2x2")
    assert str(needs) == "a slice of 2 hosts, each with 1 CPU, 4 TPU"
    assert find_needs(build("decode"), hosts) == Needs(chips={"TPU": 4})


def test_a_host_computes_by_itself_where_that_is_asked_for_or_it_is_a_slice():
    assert find_needs(build("denoise", hosts="one"), [slice_host("4x4")]) == Needs(chips={"TPU": 4})
    assert find_needs(build("denoise", "cpu"), [slice_host("4x4")]) == Needs()
    assert find_needs(build("denoise"), [slice_host("2x4", num_chips=8)]) == Needs(chips={"TPU": 8})


def test_without_chips_it_takes_a_processor():
    assert find_needs(build("denoise"), [PLAIN, PLAIN]) == Needs()
    assert find_needs(build("denoise", "cpu"), [SMALL]) == Needs()


def test_a_platform_that_is_named_is_waited_for():
    assert find_needs(build("denoise", "tpu"), [PLAIN]).chips == {"TPU": 1}
    assert find_needs(build("denoise", "gpu"), [SMALL]).chips == {"GPU": 1}


def test_a_stage_of_the_host_takes_no_chips():
    assert find_needs(build("export"), [SMALL]) == Needs()


def test_encode_takes_memory_for_the_weights_of_its_components():
    job = build_job(build_node("encode"), Checkpoint(SHAPES), Path("/store"), CODE, {"platform": "auto"})
    job = type(job)(**{**vars(job), "components": ENCODE.components})
    folders = [SHAPES / component.name for component in ENCODE.components]
    size_bytes = sum(path.stat().st_size for folder in folders for path in folder.iterdir())
    assert find_needs(job, [SMALL]) == Needs(memory_bytes=size_bytes)


def test_needs_are_options_of_an_actor_and_words():
    needs = Needs(2, 3 << 30, {"TPU": 4})
    assert needs.options == {"num_cpus": 2, "num_gpus": 0, "memory": 3 << 30, "resources": {"TPU": 4}}
    assert needs.bundle == {"CPU": 2.0, "memory": float(3 << 30), "TPU": 4.0}
    assert str(needs) == "a host with 2 CPU, 3.0 GiB of memory, 4 TPU"
    assert Needs(chips={"GPU": 8}).options == {"num_cpus": 1, "num_gpus": 8}
