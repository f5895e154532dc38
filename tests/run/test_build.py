"""Graph, store and processes tied together."""

import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from stages.errors import StageError, StoreError
from stages.machine.holder import Holder
from stages.run.runner import Event
from stages.store.leases import Leases
from stages.store.verdict import State
from tests.fork import is_fork_installed
from tests.known_files import know_package
from tests.project import copy_params
from tests.run.fakes import fake_build, ignore, quick


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return know_package(copy_params(tmp_path))


def test_each_node_is_a_job_for_its_program_with_what_it_reads(root: Path):
    build, _, runner = fake_build(root, {"decode.decoder": "diffusers"})
    nodes = build.graph.videos["demo"]
    for node in nodes.values():
        assert build.run(node, lambda _: None)["event"] == "result"
    assert [(job.program.package, job.rank, job.makes.name) for job in runner.jobs] == [
        ("stages.encode", 0, "embeddings"),
        ("stages.denoise", 1, "latents"),
        ("stages.diffusers_decode", 2, "frames"),
        ("stages.export", 3, "video"),
    ]
    assert [dict(job.inputs) for job in runner.jobs] == [
        {},
        {"embeddings": nodes["encode"].artifact},
        {"latents": nodes["denoise"].artifact},
        {"frames": nodes["decode"].artifact},
    ]
    assert [job.code for job in runner.jobs] == [build.code[job.program.package] for job in runner.jobs]


def test_a_job_knows_the_command_that_says_what_its_videos_need(root: Path):
    overrides = {"denoise.num_frames": "13", "encode.prompt": "A red circle."}
    build, _, _ = fake_build(root, overrides)
    job = build.job(build.graph.videos["demo"]["denoise"])
    assert job.preflight == "doit preflight demo denoise.num_frames=13 'encode.prompt=A red circle.'"


def test_what_another_run_makes_meanwhile_is_waited_for_and_not_made_again(root: Path):
    build, store, runner = fake_build(root, {})
    build, node = quick(build), build.graph.videos["demo"]["encode"]
    events: list[Event] = []
    is_waiting = threading.Event()

    def observe(event: Event) -> None:
        events.append(event)
        is_waiting.set()

    with ThreadPoolExecutor() as pool:
        with build.lease(node, ignore):
            ending = pool.submit(build.run, node, observe)
            assert is_waiting.wait(20)
            store.fresh.add(node.artifact)
        who = str(ending.result()["made_by"])
    assert who.startswith(f"{Holder.here().user} on {Holder.here().host} (process {os.getpid()}, since ")
    assert events[0] == {"event": "phase", "name": f"is being made by {who}; waiting, 0 s so far"}
    assert runner.jobs == []
    assert runner.num_given_up >= 1  # what this run keeps for later may be what the other needs for it


def test_what_the_other_run_has_not_made_is_made_here(root: Path):
    build, _, runner = fake_build(root, {})
    build, node = quick(build), build.graph.videos["demo"]["encode"]
    with ThreadPoolExecutor() as pool:
        with build.lease(node, ignore):
            ending = pool.submit(build.run, node, ignore)
            time.sleep(0.2)
            assert not ending.done()
        assert "made_by" not in ending.result()
    assert len(runner.jobs) == 1


def test_who_does_not_wait_learns_who_makes_it(root: Path):
    build, _, runner = fake_build(root, {})
    build, node = quick(build), build.graph.videos["demo"]["encode"]
    with build.lease(node, ignore), pytest.raises(StageError) as error:
        build.run(node, ignore, waits=False)
    user, host = Holder.here().user, Holder.here().host
    assert re.fullmatch(
        rf"{node.title} is being made by {user} on {host} \(process {os.getpid()}, since [-0-9]+ [:0-9]+\)\. "
        r"Run it again when that has ended\.",
        str(error.value),
    )
    assert runner.jobs == []


def test_the_hosts_of_one_group_denoise_together_and_encode_one_after_the_other(root: Path):
    first, second = (quick(fake_build(root, {"machine.hosts": f"here:8482 {place}/2"})[0]) for place in (0, 1))
    nodes = first.graph.videos["demo"]
    with first.lease(nodes["denoise"], ignore), second.lease(nodes["denoise"], ignore, waits=False):
        pass
    with (
        first.lease(nodes["encode"], ignore),
        pytest.raises(StageError, match="is being made by"),
        second.lease(nodes["encode"], ignore, waits=False),
    ):
        pass


def test_while_the_process_of_a_node_is_stopped_its_lease_is_not_renewed(root: Path):
    build, _, runner = fake_build(root, {})
    build = replace(build, leases=Leases(build.leases.root, beat_s=0.02, look_s=0.02, patience_s=0.4))
    node = build.graph.videos["demo"]["encode"]
    runner.stopped.add(build.program_of(node))
    with build.lease(node, ignore), build.lease(node, ignore):
        pass


def test_without_a_lease_a_node_is_made_and_what_that_means_is_said(root: Path):
    build, _, runner = fake_build(root, {})
    (build.leases.root / ".leases").write_text("a file")
    events: list[Event] = []
    assert build.run(build.graph.videos["demo"]["encode"], events.append)["event"] == "result"
    assert events[0] == {
        "event": "warning",
        "message": f"other runs cannot be told that it is being made here ({build.leases.root}/.leases: File exists): "
        "they may make it, too, and the first result stays.",
    }
    assert len(runner.jobs) == 1


def test_what_is_in_use_is_not_removed_and_what_has_been_used_is(root: Path):
    build, store, _ = fake_build(root, {})
    nodes = build.graph.videos["demo"]
    store.fresh |= {node.artifact for node in nodes.values()}
    with build.lease(nodes["decode"], ignore):
        for stage in ("encode", "denoise", "decode"):
            with pytest.raises(StoreError) as error:
                build.remove(nodes[stage].artifact)
            assert re.fullmatch(
                rf"{nodes[stage].title}: is kept, because it is in use by .+ \(process {os.getpid()}, since .+\)\. "
                r"Remove it after that\.",
                str(error.value),
            )
        assert build.remove(nodes["export"].artifact)
    assert replace(build).remove(nodes["encode"].artifact)


def test_what_a_run_is_going_to_make_and_read_is_in_use_until_it_ends(root: Path):
    build, store, _ = fake_build(root, {})
    nodes = build.graph.videos["demo"]
    store.fresh |= {nodes["encode"].artifact, nodes["denoise"].artifact}
    build.check([node.title for node in nodes.values()], build.demand())
    assert {*build.leases.in_use()} == {node.artifact for node in nodes.values()}
    build.close()
    assert build.leases.in_use() == {}


def test_a_run_that_makes_nothing_holds_nothing(root: Path):
    build, store, _ = fake_build(root, {})
    nodes = build.graph.videos["demo"]
    store.fresh |= {node.artifact for node in nodes.values()}
    build.check([node.title for node in nodes.values()], build.demand())
    assert build.leases.in_use() == {}
    build.close()


def test_what_somebody_may_use_is_not_removed(root: Path):
    build, store, _ = fake_build(root, {})
    encode = build.graph.videos["demo"]["encode"]
    store.fresh.add(encode.artifact)
    (build.leases.root / ".leases" / f"encode-{encode.key}.json").mkdir(parents=True)
    with pytest.raises(StoreError, match=rf"^{encode.title}: is kept, because it is not known who uses it \(.*encode-"):
        build.remove(encode.artifact)


def test_what_cannot_end_is_not_begun(root: Path):
    if is_fork_installed():
        pytest.skip("the fork is installed, so that nothing is missing")
    build, _, runner = fake_build(root, {"decode.decoder": "diffusers-tpu"})
    with pytest.raises(StageError, match="the fork diffusers-tpu is not installed"):
        build.run(build.graph.videos["demo"]["encode"], lambda _: None)
    assert runner.jobs == []


@pytest.mark.parametrize(
    ("state", "words"),
    [("absent", "has not been made"), ("forgotten", "is forgotten"), ("collected", "is collected")],
)
def test_what_a_node_reads_must_be_there_and_what_makes_it_is_named(root: Path, state: State, words: str):
    build, store, runner = fake_build(root, {"export.fps": "7"})
    nodes = build.graph.videos["demo"]
    store.others[nodes["encode"].artifact] = state
    with pytest.raises(StageError) as failed:
        build.run(nodes["denoise"], ignore)
    title = nodes["encode"].title
    assert str(failed.value) == (
        f"{nodes['denoise'].title} reads {title}, which {words}. Make it first: `doit {title} export.fps=7`"
    )
    assert runner.jobs == []


def test_what_a_node_reads_may_be_stale_where_its_maker_was_not_asked_for(root: Path):
    build, store, runner = fake_build(root, {})
    encode = build.graph.videos["demo"]["encode"]
    store.others[encode.artifact] = "stale"
    with pytest.raises(StageError, match="no result"):
        build.run(build.graph.videos["demo"]["denoise"], ignore)
    assert len(runner.jobs) == 1


def test_a_run_asks_the_store_once_about_a_node_before_it_makes_it_and_once_after(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    build, store, _ = fake_build(root, {})
    asked: list[str] = []
    verdict = store.verdict
    monkeypatch.setattr(store, "verdict", lambda node, code: asked.append(node.stage) or verdict(node, code))
    build.run(build.graph.videos["demo"]["encode"], ignore)
    assert asked == ["encode", "encode"]
