"""A build is read from a project, and reading it makes nothing."""

import os
from pathlib import Path

import pytest

from stages.errors import ParamsError, StoreError
from stages.run.build import Build
from stages.run.fingerprint import Fingerprinter, fingerprint
from stages.run.loading import load_build
from stages.run.worker import Workers
from stages.store import payloads
from stages.store.stat_cache import StatCache
from tests.builders import publish
from tests.project import PROJECT, copy_params


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_loading_runs_nothing_and_makes_no_artifact(root: Path):
    build = load_build(root, {})
    assert isinstance(build.runner, Workers)
    assert build.runner.process_ids == {}
    assert {path.name for path in build.store.root.iterdir()} == {".stat-cache.json"}


def test_every_node_of_a_new_project_is_absent(root: Path):
    build = load_build(root, {})
    states = {stage: build.verdict(node).state for stage, node in build.graph.videos["demo"].items()}
    assert states == dict.fromkeys(("encode", "denoise", "decode", "export"), "absent")


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


def test_the_store_lies_where_the_machine_settings_say(root: Path, tmp_path: Path):
    build = load_build(root, {"machine.artifacts": str(tmp_path / "elsewhere")})
    assert build.store.root == tmp_path / "elsewhere"
    assert not (root / "artifacts").exists()


def test_a_store_that_cannot_be_written_is_reported(root: Path):
    (root / "artifacts").write_text("a file")
    for is_read_only in (False, True):
        with pytest.raises(StoreError, match=r"/artifacts: is a file, and not a folder\."):
            load_build(root, {}, is_read_only=is_read_only)


def test_wrong_parameters_leave_no_store_behind(root: Path):
    with pytest.raises(ParamsError):
        load_build(root, {"denoise.seed": "x"})
    assert not (root / "artifacts").exists()


def test_a_fault_of_one_video_leaves_the_others_and_is_in_the_graph(root: Path):
    (root / "params/videos/other.toml").write_text("=")
    build = load_build(root, {})
    assert build.graph.videos.keys() == {"demo"}
    assert build.graph.faults.keys() == {"other"}
