"""What a gate compares, and when it is passed; real runs of it are in tests/commands/test_gate.py."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.diff.comparison import StageDifference
from stages.diff.frame_difference import FrameDifference
from stages.diff.gate import find_counterparts, find_nodes, judge
from stages.errors import ParamsError, StageError
from stages.keys import Node
from stages.store.artifacts import Store
from tests.builders import collect
from tests.diff.made_videos import Videos, build_videos, gray
from tests.provenance.videos import load

SIZE = (5, 32, 64)


@pytest.fixture
def videos(tmp_path: Path) -> Videos:
    return build_videos(tmp_path / "project")


def test_what_is_named_is_compared_with_all_that_it_is_made_from(videos: Videos):
    nodes = videos.make(gray())
    build = load(videos.root)
    assert [node.stage for node in find_nodes(build, ["decode"])] == ["encode", "denoise", "decode"]
    assert find_nodes(build, []) == find_nodes(build, ["demo"]) == [*nodes.values()]


def test_what_is_not_made_here_cannot_be_compared(videos: Videos):
    nodes = videos.make(gray())
    videos.store.forget(nodes["decode"].artifact)
    with pytest.raises(StageError) as refused:
        find_nodes(load(videos.root), [])
    due = f"{nodes['decode'].title}, {nodes['export'].title}"
    assert str(refused.value) == (
        f"{due}: not made yet by the code that is here, or to be made again. Run `doit` for what is "
        "to be compared first."
    )
    assert [node.stage for node in find_nodes(load(videos.root), ["denoise"])] == ["encode", "denoise"]


def test_what_gc_has_deleted_needs_no_run(videos: Videos):
    collect(videos.store, videos.make(gray())["decode"])
    assert len(find_nodes(load(videos.root), [])) == 4


def test_a_name_that_is_nobodys_is_an_error(videos: Videos):
    videos.make(gray())
    with pytest.raises(ParamsError, match=r"^demmo: no such task\. Did you mean `demo`\?"):
        find_nodes(load(videos.root), ["demmo"])


def share(videos: Videos, nodes: Mapping[str, Node], store: Store) -> None:
    for node in nodes.values():
        shutil.copytree(videos.store.folder(node.artifact), store.folder(node.artifact), dirs_exist_ok=True)


def test_what_a_revision_has_made_is_what_its_link_leads_to(videos: Videos, tmp_path: Path):
    """Also where the present artifact lies beside it, which has the present key."""
    nodes = videos.make(gray())
    there = build_videos(tmp_path / "there")
    made = there.make(gray(), denoise_seed="7")
    share(videos, nodes, there.store)
    found = find_counterparts(load(videos.root), [*nodes.values()], there.store)
    assert [manifest and manifest.key for manifest in found.values()] == [node.key for node in made.values()]


def test_without_a_link_what_has_another_key_is_not_known(videos: Videos, tmp_path: Path):
    nodes = videos.make(gray())
    there = build_videos(tmp_path / "there")
    there.make(gray(), denoise_seed="7")
    share(videos, nodes, there.store)
    shutil.rmtree(there.store.root / "videos")
    found = find_counterparts(load(videos.root), [*nodes.values()], there.store)
    assert [manifest is None for manifest in found.values()] == [False, True, True, True]


def of_frames(max_abs: float, size: tuple[int, int, int] = SIZE) -> StageDifference:
    return StageDifference("decode", (), "other", frames=FrameDifference((SIZE, size), 0, max_abs))


def of_values(max_abs: float) -> StageDifference:
    values = {"frames": {"num_values": 10, "num_unequal": 1, "max_abs": max_abs, "psnr_db": 40.0}}
    return StageDifference("export", (), "other", values)


@pytest.mark.parametrize(
    ("difference", "tolerance", "is_passed"),
    [
        (StageDifference("decode", (), "equal"), 0.0, True),
        (of_frames(0.0), 0.0, True),  # other bytes of equal values
        (of_frames(0.01), 0.0, False),
        (of_frames(0.01), 0.01, True),
        (of_frames(0.011), 0.01, False),
        (of_frames(math.inf), 1e9, False),
        (of_frames(0.0, (9, 32, 64)), 1.0, False),
        (of_values(0.0), 0.0, True),
        (of_values(2.0), 2.0, True),
        (of_values(2.1), 2.0, False),
        (StageDifference("denoise", (), "other", {"latents": "F32 [1] and F32 [2]"}), 9.0, False),
        (StageDifference("decode", (), "other", note="the second: deleted by `doit gc`"), 9.0, False),
        (StageDifference("decode", (), "unknown"), 9.0, False),
    ],
)
def test_it_is_passed_when_no_value_differs_by_more(difference: StageDifference, tolerance: float, is_passed: bool):
    assert judge(difference, tolerance) is is_passed


def test_pictures_of_a_video_count_on_the_scale_of_frames():
    assert judge(of_values(255), 2.0, scale=255 / 2)
    assert not judge(of_values(255), 1.9, scale=255 / 2)
