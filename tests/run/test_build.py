"""Graph, store and processes tied together."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stages.errors import ParamsError, StageError, StoreError
from stages.keys import ArtifactId, Digest, Node
from stages.pipeline.stage import Program
from stages.run.build import Build, Fault, load_build
from stages.run.fingerprint import Fingerprinter, fingerprint
from stages.run.job import Job
from stages.run.runner import Event
from stages.run.worker import Workers
from stages.store.stat_cache import StatCache
from stages.store.verdict import Verdict
from tests.fork import is_fork_installed
from tests.hub_repo import Repo
from tests.hub_server import ask_here, serve
from tests.project import PROJECT, SHAPES, copy_params


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_loading_runs_nothing_and_makes_no_artifact(root: Path):
    build = load_build(root, {})
    assert isinstance(build.runner, Workers)
    assert build.runner.process_ids == {}
    assert {path.name for path in build.store.root.iterdir()} == {".doit.db", ".stat-cache.json"}


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
    """Takes jobs and starts nothing; what is not there to be read, or `fails`, has no result."""

    store: FakeStore
    fails: bool = False
    jobs: list[Job] = field(default_factory=list)
    ahead: list[Program | None] = field(default_factory=list)

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:
        self.ahead.append(ahead)
        observe({"event": "phase", "name": "computing"})
        self.jobs.append(job)
        if self.fails or not set(job.node.input_artifacts) <= self.store.fresh:
            raise StageError(f"{job.node.title}: no result.")
        self.store.fresh.add(job.node.artifact)
        return {"event": "result", "is_same_as_before": None, "wall_s": 0.0}

    def close(self) -> None:
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
    runner.fails = True
    with pytest.raises(StageError):
        build.run(build.graph.videos["demo"]["encode"], lambda _: None)
    assert store.num_sweeps == 1


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
    assert repr(build.freshness(node)) == f"the store: {node.title} is absent"
    store.fresh.add(node.artifact)
    assert build.freshness(node)()


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


def test_doit_watches_the_manifests_of_the_inputs_and_the_store_the_code(root: Path):
    build: Build = load_build(root, {})
    nodes = build.graph.videos["demo"]
    assert build.file_deps(nodes["decode"]) == [build.targets(nodes["denoise"])[-1]]
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


def test_a_fault_is_never_up_to_date_and_prints_as_its_message():
    fault = Fault(ParamsError("broken"))
    assert not fault()
    assert repr(fault) == "ParamsError: broken"


@pytest.mark.parametrize(
    ("message", "summary"),
    [("broken", "broken"), ("one\n  two\n  three", "one (and 2 more)"), ("x" * 200, "x" * 119 + "…")],
)
def test_the_summary_of_a_fault_is_short(message: str, summary: str):
    assert Fault(ParamsError(message)).summary == summary
