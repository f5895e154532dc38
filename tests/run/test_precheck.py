"""What is looked at before a run makes anything."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from stages.errors import StageError, StagesError
from stages.run.build import Build
from stages.run.demand import Demand
from stages.run.loading import load_build
from tests.chains import edit_settings
from tests.hub_repo import Repo
from tests.hub_server import ask_here, serve
from tests.project import SHAPES, copy_checkpoint, copy_params
from tests.run.fakes import fake_build


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_a_video_whose_checkpoint_the_hub_refuses_is_checked_once(root: Path, monkeypatch: pytest.MonkeyPatch):
    with serve({"org/shapes": Repo.of_folder(SHAPES, is_gated=True)}) as server:
        ask_here(server, root / "hub", monkeypatch)
        build = load_build(root, {"model.checkpoint": "org/shapes"})
        names = [node.title for node in build.graph.all_nodes()]
        faults, left = build.check(names, build.demand())
        assert left == []
        assert "the repository is gated" in str(faults["demo"])
        num_asked = len(server.asked)
        assert build.check(names, build.demand())[0] == faults
        for node in build.graph.all_nodes():
            with pytest.raises(StageError, match="the repository is gated"):
                build.run(node, print)
    assert len(server.asked) == num_asked


def write_video(root: Path, name: str, *, num_inference_steps: int = 20) -> None:
    """A video as `demo`, of another checkpoint."""
    text = (root / "params/videos/demo.toml").read_text()
    text = text.replace("= 20", f"= {num_inference_steps}")
    (root / f"params/videos/{name}.toml").write_text(f'[model]\ncheckpoint = "model"\n{text}')


@pytest.fixture
def shared(root: Path) -> Build:
    """`demo` and `city` are made, but for their encode, which was collected; `harbour` has it in common with them.

    `harbour` and `city` have a checkpoint that cannot be used for denoise.
    """
    model = copy_checkpoint(root / "model")
    edit_settings(model / "model_index.json", _class_name="HunyuanVideo15ImageToVideoPipeline")
    write_video(root, "harbour", num_inference_steps=3)
    write_video(root, "city")
    build, store, _ = fake_build(root, {})
    nodes = build.graph.videos
    assert nodes["demo"] == nodes["city"]
    assert nodes["demo"]["encode"] == nodes["harbour"]["encode"]
    store.fresh |= {node.artifact for node in nodes["demo"].values()} - {nodes["demo"]["encode"].artifact}
    store.others[nodes["demo"]["encode"].artifact] = "collected"
    return build


def begin(build: Build) -> tuple[Demand, Mapping[str, StagesError], Collection[str]]:
    """A run of everything, before its first task."""
    demand, names = build.demand(), [*(node.title for node in build.graph.all_nodes()), *build.graph.videos]
    demand.select(names)
    return demand, *build.check(names, demand)


@pytest.mark.parametrize("is_made", [True, False], ids=["nothing else to be made", "others to be made"])
def test_an_artifact_that_cannot_be_read_keeps_only_its_own_videos_from_being_made(root: Path, is_made: bool):
    for name, seed in (("harbour", 7), ("city", 8)):
        text = (root / "params/videos/demo.toml").read_text()
        (root / f"params/videos/{name}.toml").write_text(text.replace("[denoise]", f"[denoise]\nseed = {seed}"))
    build, store, _ = fake_build(root, {})
    nodes = build.graph.videos
    store.fresh |= {node.artifact for node in build.graph.all_nodes()} if is_made else set()
    store.unreadable = {nodes["harbour"]["denoise"].artifact}
    demand, faults, left = begin(build)
    assert {name: str(error) for name, error in faults.items()} == {
        "harbour": f"{store.payload(nodes['harbour']['denoise'].artifact)}: cannot be read (Permission denied). Fix "
        "that and run it again."
    }
    own = {node.title for name in ("demo", "city") for node in nodes[name].values()}
    assert {*left} == own | {"demo", "city"}
    assert {node.title for node in build.graph.all_nodes() if node.title in left and demand.is_due(node)} == (
        set() if is_made else own
    )


def test_an_artifact_that_all_need_and_nobody_can_read_leaves_nothing_to_do(root: Path):
    build, store, _ = fake_build(root, {})
    store.unreadable = {build.graph.videos["demo"]["encode"].artifact}
    _, faults, left = begin(build)
    assert (faults.keys(), left) == ({"demo"}, [])


def test_what_only_a_video_that_cannot_be_made_would_read_is_not_made(shared: Build):
    demand, _, _ = begin(shared)
    assert not demand.is_due(shared.graph.videos["demo"]["encode"])


def test_a_video_of_which_nothing_is_to_be_made_has_no_fault_whatever_another_needs(shared: Build):
    _, faults, _ = begin(shared)
    assert faults.keys() == {"harbour"}


def test_of_a_video_that_cannot_be_made_only_tasks_for_others_are_left(shared: Build):
    _, _, left = begin(shared)
    assert [*left] == [*(node.title for node in shared.graph.videos["demo"].values()), "city", "demo"]


def test_what_is_asked_for_beside_a_video_that_cannot_be_made_is_left(shared: Build):
    nodes = shared.graph.videos
    names = [nodes["demo"]["denoise"].title, nodes["harbour"]["denoise"].title, "harbour"]
    faults, left = shared.check(names, shared.demand())
    assert (faults.keys(), left) == ({"harbour"}, [nodes["demo"]["denoise"].title])
