"""`doit draft`: drafts beside the videos. What a draft is by its parameters is in tests/request/test_draft.py."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.keys import Node
from stages.run.loading import load_build
from tests.builders import publish
from tests.project import copy_built, copy_project, run_doit
from tests.request.sweeps import write_sweep

pytestmark = pytest.mark.processes


def nodes_of(root: Path, *, is_draft: bool) -> Mapping[str, Node]:
    return load_build(root, {}, is_draft=is_draft).graph.videos["demo"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose `demo` has been made, itself and as its draft. Tests copy it."""
    root = copy_project(tmp_path_factory.mktemp("made"))
    for is_draft in (False, True):
        build = load_build(root, {}, is_draft=is_draft)
        for node in build.graph.videos["demo"].values():
            if not build.verdict(node).is_fresh:
                publish(build.store, node, node.key.encode(), code=build.code[build.program_of(node).package])
    assert run_doit(root).returncode == 0
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return copy_built(made, tmp_path / "project")


def links(root: Path) -> dict[str, str]:
    """Where each link leads: the key of an artifact."""
    return {path.name: path.readlink().parts[2] for path in (root / "artifacts/videos").iterdir()}


def test_a_draft_has_a_link_of_its_own_and_that_of_the_video_stays(root: Path):
    result = run_doit(root, "draft", "demo")
    assert (result.returncode, result.stdout) == (0, "demo: artifacts/videos/demo.draft.mp4\n")
    final, draft = (nodes_of(root, is_draft=is_draft)["export"].key for is_draft in (False, True))
    assert final != draft
    assert links(root) == {"demo.mp4": final, "demo.draft.mp4": draft}


def test_a_second_draft_of_the_same_runs_nothing(root: Path):
    run_doit(root, "draft")
    assert run_doit(root, "draft").stdout == "demo: artifacts/videos/demo.draft.mp4 (up to date)\n"


def test_a_draft_shares_the_embeddings_of_the_video(root: Path):
    final, draft = nodes_of(root, is_draft=False), nodes_of(root, is_draft=True)
    assert {stage for stage in final if final[stage].key == draft[stage].key} == {"encode"}


def test_a_file_of_somebodys_own_is_not_replaced_and_the_message_names_the_command(root: Path):
    path = root / "artifacts/videos/demo.draft.mp4"
    path.write_text("mine")
    result = run_doit(root, "draft")
    assert result.returncode == 1
    assert "then `doit draft demo` makes the link." in result.stdout + result.stderr
    assert path.read_text() == "mine"


def test_to_gc_drafts_are_the_rest_and_their_links_go_with_them(root: Path):
    run_doit(root, "draft")
    assert run_doit(root, "gc").returncode == 0
    assert [*links(root)] != ["demo.mp4"]
    assert run_doit(root, "gc", "--keep", "0").returncode == 0
    assert [*links(root)] == ["demo.mp4"]
    build = load_build(root, {})
    assert all(build.verdict(node).is_fresh for node in build.graph.videos["demo"].values())


def test_a_pinned_draft_stays(root: Path):
    run_doit(root, "draft")
    assert run_doit(root, "pin", nodes_of(root, is_draft=True)["export"].title).returncode == 0
    run_doit(root, "gc", "--keep", "0")
    assert {*links(root)} == {"demo.mp4", "demo.draft.mp4"}


def test_a_fault_of_a_draft_is_said_before_anything_runs(root: Path):
    (root / "params/draft.toml").write_text("denoise.height = 100\n")
    result = run_doit(root, "draft")
    assert result.returncode == 1
    assert result.stderr.startswith("ParamsError: params/draft.toml, denoise.height = 100: must be a multiple of 16")


def test_drafts_of_a_sweep_are_asked_for_by_its_name(root: Path):
    write_sweep(root, "denoise.num_inference_steps = [20]\n")  # the draft of which is that of `demo`
    result = run_doit(root, "draft", "harbour")
    assert (result.returncode, result.stdout) == (0, "harbour-1: artifacts/videos/harbour-1.draft.mp4\n")


def test_a_run_takes_a_drafts_name_too_and_says_what_makes_it(root: Path):
    result = run_doit(root, "demo.draft")
    assert (result.returncode, result.stdout) == (0, "demo: artifacts/videos/demo.draft.mp4\n")
    (root / "artifacts/videos/demo.draft.mp4").unlink()
    (root / "artifacts/videos/demo.draft.mp4").write_text("mine")
    assert run_doit(root, "demo.draft").stdout.endswith("then `doit draft demo` makes the link.\n")


def test_of_a_draft_its_link_is_cleaned_and_its_artifacts_are_forgotten(root: Path):
    run_doit(root, "draft")
    assert run_doit(root, "clean", "demo.draft").stdout == "removed: artifacts/videos/demo.draft.mp4\n"
    forgotten = run_doit(root, "forget", "--follow-sub", "demo.draft").stdout.splitlines()
    assert {*forgotten} == {f"forgotten: {node.title}" for node in nodes_of(root, is_draft=True).values()}
    assert [*links(root)] == ["demo.mp4"]


def test_what_is_said_of_a_draft_is_not_said_of_its_video(root: Path):
    nodes = nodes_of(root, is_draft=True)
    assert run_doit(root, "list", "demo").stdout.startswith("demo   up to date: ")
    assert run_doit(root, "list", "demo.draft").stdout.startswith("demo   made, without its link: ")
    assert nodes["export"].title in run_doit(root, "info", "demo.draft").stdout
    assert run_doit(root, "explain", "demo.draft").stdout.startswith("up to date: demo\nnothing to run\n")
