"""Graph, store and processes tied together."""

from pathlib import Path

import pytest

from stages.errors import ParamsError, StoreError
from stages.run.build import Build, load_build
from tests.project import PROJECT, copy_params


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_loading_runs_nothing_and_makes_no_artifact(root: Path):
    build = load_build(root, {})
    assert build.workers.process_ids == {}
    assert {path.name for path in build.store.root.iterdir()} == {".doit.db", ".stat-cache.json"}


def test_every_node_of_a_new_project_is_absent(root: Path):
    build = load_build(root, {})
    states = {stage: build.verdict(node).state for stage, node in build.graph.videos["demo"].items()}
    assert states == dict.fromkeys(("encode", "denoise", "decode", "export"), "absent")


def test_doit_watches_the_stage_sources_and_the_manifests_of_the_inputs(root: Path):
    build: Build = load_build(root, {})
    nodes = build.graph.videos["demo"]
    names = [path.name for path in build.file_deps(nodes["decode"])]
    assert names[-1] == "manifest.json"
    assert {"geometry.py", "tensors.py", "edge.py"} <= set(names)
    assert build.file_deps(nodes["decode"])[-1] in build.targets(nodes["denoise"])


def test_of_a_file_from_elsewhere_doit_watches_the_code_that_reads_it(root: Path):
    (root / "latents").touch()
    build = load_build(root, {"denoise.from_file": "latents"})
    node = build.graph.videos["demo"]["denoise"]
    sources = {path.relative_to(PROJECT / "stages").as_posix() for path in build.file_deps(node)}
    assert {"from_file/edge.py", "from_file/outside_file.py", "tensors.py"} <= sources
    assert not any(name.startswith("denoise/") for name in sources)
    assert build.verdict(node).state == "absent"


def test_doit_watches_a_decoder_for_the_nodes_that_choose_it(root: Path):
    watched = []
    for decoder in ("native", "diffusers"):
        build = load_build(root, {"decode.decoder": decoder})
        files = build.file_deps(build.graph.videos["demo"]["decode"])
        watched.append({path.relative_to(PROJECT / "stages").as_posix() for path in files[:-1]})
    assert "decode/stream.py" in watched[0] & watched[1]
    assert "diffusers_decode/torch_decoder.py" in watched[1] - watched[0]


def test_the_store_lies_where_the_machine_settings_say(root: Path, tmp_path: Path):
    build = load_build(root, {"machine.artifacts": str(tmp_path / "elsewhere")})
    assert build.store.root == tmp_path / "elsewhere"
    assert not (root / "artifacts").exists()


def test_a_store_that_cannot_be_written_is_told(root: Path):
    (root / "artifacts").write_text("a file")
    with pytest.raises(StoreError, match=r"artifacts: cannot be written \(.*\). Mend its permissions, or set"):
        load_build(root, {})


def test_wrong_parameters_leave_no_store_behind(root: Path):
    with pytest.raises(ParamsError):
        load_build(root, {"denoise.seed": "x"})
    assert not (root / "artifacts").exists()
