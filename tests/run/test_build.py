"""Graph, store and processes tied together."""

import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from stages.errors import ParamsError, StageError, StoreError
from stages.keys import ArtifactId, Digest, Node
from stages.machine.holder import Holder
from stages.pipeline.stage import Program
from stages.run.build import Build, load_build
from stages.run.fingerprint import Fingerprinter, fingerprint
from stages.run.job import Job
from stages.run.runner import Event
from stages.run.worker import Workers
from stages.store import payloads
from stages.store.leases import Leases
from stages.store.stat_cache import StatCache
from stages.store.verdict import Verdict
from tests.builders import publish
from tests.fork import is_fork_installed
from tests.hub_repo import Repo
from tests.hub_server import ask_here, serve
from tests.project import PROJECT, SHAPES, copy_params


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_before_a_verdict_reads_a_large_file_a_person_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(payloads, "_LARGE_BYTES", 7)
    build = load_build(copy_params(tmp_path), {})
    node = build.graph.videos["demo"]["encode"]
    publish(build.store, node, code=build.code["stages.encode"])
    path = build.store.payload(node.artifact)
    path.touch()
    assert build.verdict(node).is_fresh
    assert capsys.readouterr().err == (
        f"{path}: is not the file that was published, so its 0.0 GiB are read and compared. `doit verify` reads "
        "several files at a time.\n"
    )


def test_loading_runs_nothing_and_makes_no_artifact(root: Path):
    build = load_build(root, {})
    assert isinstance(build.runner, Workers)
    assert build.runner.process_ids == {}
    assert {path.name for path in build.store.root.iterdir()} == {".stat-cache.json"}


@dataclass
class FakeStore:
    """A store of which a test says what is fresh; keeps nothing."""

    root: Path = Path("artifacts")
    fresh: set[ArtifactId] = field(default_factory=set)
    num_sweeps: int = 0

    def folder(self, artifact: ArtifactId) -> Path:
        return self.root / artifact.stage / artifact.key

    def payload(self, artifact: ArtifactId) -> Path:
        return self.folder(artifact) / "payload"

    def verdict(self, node: Node, code: Digest) -> Verdict:
        assert code
        return Verdict("fresh" if node.artifact in self.fresh else "absent")

    def forget(self, artifact: ArtifactId) -> bool:
        return self.remove(artifact)

    def remove(self, artifact: ArtifactId) -> bool:
        was_there = artifact in self.fresh
        self.fresh.discard(artifact)
        return was_there

    def sweep_drafts(self) -> None:
        self.num_sweeps += 1


@dataclass
class FakeRunner:
    """Takes jobs and starts nothing; what is not there to be read, or `fails` with a message, has no result."""

    store: FakeStore
    fails: str = ""
    jobs: list[Job] = field(default_factory=list)
    ahead: list[Program | None] = field(default_factory=list)
    stopped: set[Program] = field(default_factory=set)
    num_given_up: int = 0

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:
        self.ahead.append(ahead)
        observe({"event": "phase", "name": "computing"})
        self.jobs.append(job)
        if self.fails:
            raise StageError(self.fails)
        if not set(job.node.input_artifacts) <= self.store.fresh:
            raise StageError(f"{job.node.title}: no result.")
        self.store.fresh.add(job.node.artifact)
        return {"event": "result", "is_same_as_before": None, "wall_s": 0.0}

    def is_stopped(self, program: Program) -> bool:
        return program in self.stopped

    def give_up_devices(self) -> None:
        self.num_given_up += 1

    def close(self) -> None:
        pass


class Forgetting(FakeRunner):
    """What it makes is forgotten at once by somebody."""

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:
        ending = super().run(job, observe, ahead=ahead)
        self.store.fresh.clear()
        return ending


def ignore(_event: Event) -> None:
    pass


def fake_build(root: Path, overrides: dict[str, str]) -> tuple[Build, FakeStore, FakeRunner]:
    """A build of the real parameters and graph, whose store and runner are fakes."""
    store = FakeStore()
    runner = FakeRunner(store)
    return replace(load_build(root, overrides), store=store, runner=runner), store, runner


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


def test_after_every_job_drafts_are_swept_also_when_there_is_no_result(root: Path):
    build, store, runner = fake_build(root, {})
    runner.fails = "no result."
    with pytest.raises(StageError):
        build.run(build.graph.videos["demo"]["encode"], lambda _: None)
    assert store.num_sweeps == 1


def quick(build: Build) -> Build:
    return replace(build, leases=Leases(build.leases.root, look_s=0.02, patience_s=60.0))


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


def test_what_is_asked_for_again_though_it_is_fresh_is_made(root: Path):
    build, store, runner = fake_build(root, {})
    node = build.graph.videos["demo"]["encode"]
    store.fresh.add(node.artifact)
    assert "made_by" not in build.run(node, ignore)
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


def test_what_cannot_stay_though_it_was_just_made_is_said(root: Path):
    build, store, _ = fake_build(root, {})
    events: list[Event] = []
    build = replace(build, runner=Forgetting(store))
    assert build.run(build.graph.videos["demo"]["encode"], events.append)["event"] == "result"
    assert events[-1] == {
        "event": "warning",
        "message": "was made, and is to be made again by the next `doit`: absent",
    }


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


def test_what_cannot_end_is_not_begun(root: Path):
    if is_fork_installed():
        pytest.skip("the fork is installed, so that nothing is missing")
    build, _, runner = fake_build(root, {"decode.decoder": "diffusers-tpu"})
    with pytest.raises(StageError, match="the fork diffusers-tpu is not installed"):
        build.run(build.graph.videos["demo"]["encode"], lambda _: None)
    assert runner.jobs == []


def test_a_verdict_and_its_words_come_from_the_store(root: Path):
    build, store, _ = fake_build(root, {})
    node = build.graph.videos["demo"]["encode"]
    freshness = build.freshness(node, build.demand())
    assert repr(freshness) == f"the store: {node.title} is absent"
    store.fresh.add(node.artifact)
    assert freshness()


def test_every_node_of_a_new_project_is_absent(root: Path):
    build = load_build(root, {})
    states = {stage: build.verdict(node).state for stage, node in build.graph.videos["demo"].items()}
    assert states == dict.fromkeys(("encode", "denoise", "decode", "export"), "absent")


def watched_sources(build: Build, stage: str) -> set[str]:
    """The files whose changes make the node of a stage stale."""
    sources = Fingerprinter(StatCache(Path(os.devnull))).find_sources(
        build.program_of(build.graph.videos["demo"][stage]).package
    )
    return {path.relative_to(PROJECT / "stages").as_posix() for path in sources.values()}


def test_the_store_looks_at_the_code(root: Path):
    build: Build = load_build(root, {})
    nodes = build.graph.videos["demo"]
    assert {"geometry.py", "tensors/files.py", "decode/edge.py"} <= watched_sources(build, "decode")
    assert build.job(nodes["decode"]).code == fingerprint("stages.decode", StatCache(Path(os.devnull)))


def test_of_a_file_from_elsewhere_the_code_that_reads_it_is_watched(root: Path):
    (root / "latents").touch()
    build = load_build(root, {"denoise.from_file": "latents"})
    node = build.graph.videos["demo"]["denoise"]
    sources = watched_sources(build, "denoise")
    assert {"from_file/edge.py", "from_file/outside_file.py", "tensors/files.py"} <= sources
    assert not any(name.startswith("denoise/") for name in sources)
    assert build.job(node).code == fingerprint("stages.from_file", StatCache(Path(os.devnull)))
    assert build.verdict(node).state == "absent"


def test_a_decoder_is_watched_for_the_nodes_that_choose_it(root: Path):
    watched = [
        watched_sources(load_build(root, {"decode.decoder": decoder}), "decode") for decoder in ("native", "diffusers")
    ]
    assert "decode/stream.py" in watched[0] & watched[1]
    assert "diffusers_decode/torch_decoder.py" in watched[1] - watched[0]


def test_the_next_program_is_started_ahead_where_the_settings_allow(root: Path):
    for setting, ahead in (("auto", ["denoise"]), ("never", [None])):
        build, _, runner = fake_build(root, {"machine.start_ahead": setting})
        node = build.graph.videos["demo"]["encode"]
        lookahead = build.lookahead(lambda _: True)
        lookahead.select([node.title for node in build.graph.videos["demo"].values()])
        build.run(node, lambda _: None, ahead=lookahead.after(node))
        assert [program and program.name for program in runner.ahead] == ahead


def test_with_little_memory_nothing_is_started_ahead(root: Path, monkeypatch: pytest.MonkeyPatch):
    build, _, runner = fake_build(root, {})
    node = build.graph.videos["demo"]["encode"]
    for available, ahead in ((1 << 31, ["encode"]), ((1 << 31) - 1, [None])):
        monkeypatch.setattr("stages.run.build.available_memory_bytes", lambda available=available: available)
        runner.ahead.clear()
        build.run(node, lambda _: None, ahead=build.program_of(node))
        assert [program and program.name for program in runner.ahead] == ahead


def test_the_store_lies_where_the_machine_settings_say(root: Path, tmp_path: Path):
    build = load_build(root, {"machine.artifacts": str(tmp_path / "elsewhere")})
    assert build.store.root == tmp_path / "elsewhere"
    assert not (root / "artifacts").exists()


def test_a_store_that_cannot_be_written_is_reported(root: Path):
    (root / "artifacts").write_text("a file")
    with pytest.raises(StoreError, match=r"artifacts: cannot be written \(.*\). Fix its permissions, or set"):
        load_build(root, {})


def test_wrong_parameters_leave_no_store_behind(root: Path):
    with pytest.raises(ParamsError):
        load_build(root, {"denoise.seed": "x"})
    assert not (root / "artifacts").exists()


def test_a_fault_of_one_video_leaves_the_others_and_is_in_the_graph(root: Path):
    (root / "params/videos/other.toml").write_text("=")
    build = load_build(root, {})
    assert build.graph.videos.keys() == {"demo"}
    assert build.graph.faults.keys() == {"other"}


def test_a_run_that_makes_nothing_asks_the_store_once_per_node_and_another_one_again(root: Path):
    build, store, _ = fake_build(root, {})
    nodes = build.graph.videos["demo"].values()
    store.fresh |= {node.artifact for node in nodes}
    assert build.check({node.title for node in nodes}, lambda node: not build.verdict(node).is_fresh) == {}
    store.fresh.clear()
    assert all(build.freshness(node, build.demand())() for node in nodes)  # as it was when the run began
    build, store, _ = fake_build(root, {})
    build.check({node.title for node in nodes}, lambda node: not build.verdict(node).is_fresh)
    store.fresh |= {node.artifact for node in nodes}
    assert all(build.freshness(node, build.demand())() for node in nodes)
    store.fresh.clear()
    assert not any(build.freshness(node, build.demand())() for node in nodes)


def test_a_video_whose_checkpoint_the_hub_refuses_is_checked_once(root: Path, monkeypatch: pytest.MonkeyPatch):
    with serve({"org/shapes": Repo.of_folder(SHAPES, is_gated=True)}) as server:
        ask_here(server, root / "hub", monkeypatch)
        build = load_build(root, {"model.checkpoint": "org/shapes"})
        names = {node.title for node in build.graph.all_nodes()}
        faults = build.check(names, lambda _: True)
        assert "the repository is gated" in str(faults["demo"])
        num_asked = len(server.asked)
        assert build.check(names, lambda _: True) == faults
        for node in build.graph.all_nodes():
            with pytest.raises(StageError, match="the repository is gated"):
                build.run(node, print)
    assert len(server.asked) == num_asked


def test_a_stage_that_fails_names_what_stays_and_the_command_that_goes_on_from_there(root: Path):
    build, store, runner = fake_build(root, {"decode.dtype": "bfloat16"})
    nodes = build.graph.videos["demo"]
    store.fresh |= {nodes["encode"].artifact, nodes["denoise"].artifact}
    runner.fails = "memory ran out."
    with pytest.raises(StageError) as failed:
        build.run(nodes["decode"], lambda _: None)
    assert str(failed.value) == (
        f"memory ran out.\n  What it is made from stays: {store.payload(nodes['denoise'].artifact)}. `doit demo "
        "decode.dtype=bfloat16` goes on from there."
    )


@pytest.mark.parametrize("fails", ["", "no room"])
def test_accelerators_are_given_up_when_the_run_needs_them_no_more(root: Path, fails: str):
    build, store, runner = fake_build(root, {})
    runner.fails = fails
    denoise, decode = (build.graph.videos["demo"][stage] for stage in ("denoise", "decode"))
    for node, keeps, expected in ((denoise, True, 0), (decode, False, 1)):
        store.fresh.update(node.input_artifacts)
        with pytest.raises(StageError) if fails else nullcontext():
            build.run(node, ignore, keeps_devices=partial(bool, keeps))
        assert runner.num_given_up == expected


def test_of_inputs_that_are_damaged_it_is_not_said_that_they_stay(root: Path):
    build, _, runner = fake_build(root, {})
    runner.fails = "the file was cut or edited."
    with pytest.raises(StageError) as failed:
        build.run(build.graph.videos["demo"]["decode"], lambda _: None)
    assert str(failed.value) == "the file was cut or edited."


def test_an_error_about_a_draft_names_the_artifact(root: Path):
    build, store, runner = fake_build(root, {})
    node = build.graph.videos["demo"]["export"]
    runner.fails = f"StoreError: {store.root}/.drafts/0123456789abcdef/new/video.mp4: libx264 cannot encode."
    with pytest.raises(StageError) as failed:
        build.run(node, lambda _: None)
    assert str(failed.value) == f"StoreError: {store.folder(node.artifact)}/video.mp4: libx264 cannot encode."


def test_the_traceback_of_a_stage_is_kept_with_its_error(root: Path):
    build, _, runner = fake_build(root, {})
    runner.fails = "broken"
    with pytest.raises(StageError) as failed:
        build.run(build.graph.videos["demo"]["encode"], lambda _: None)
    assert isinstance(failed.value.__cause__, StageError)  # where the note with the traceback is (worker.py)
