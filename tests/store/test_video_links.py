"""The links by which a person finds videos."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import ArtifactId, Node
from stages.store.artifacts import Store
from stages.store.video_links import VideoLinks
from tests.builders import build_node, publish


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def made(store: Store, crf: int) -> Node:
    """A video file from a file, so that nothing has to be there before it."""
    node = build_node("export", inputs={}, from_file="a" * 32, crf=crf)
    publish(store, node, b"video %d" % crf)
    return node


def test_a_link_points_to_the_newest_choice_and_survives_moving_the_store(store: Store, tmp_path: Path):
    links, one, other = VideoLinks(store, suffix=".mp4"), made(store, 1), made(store, 2)
    links.point_to("demo", one.artifact)
    assert links.points_to("demo", one.artifact)
    links.point_to("demo", other.artifact)
    assert not links.points_to("demo", one.artifact)
    shutil.move(tmp_path / "artifacts", tmp_path / "moved")
    assert (tmp_path / "moved/videos/demo.mp4").read_bytes() == b"video 2"


def test_a_link_that_is_removed_leaves_the_artifact(store: Store):
    links, node = VideoLinks(store, suffix=".mp4"), made(store, 1)
    links.point_to("demo", node.artifact)
    assert links.remove("demo")
    assert not links.remove("demo")  # there is none any more
    assert not links.path("demo").is_symlink()
    assert store.payload(node.artifact).is_file()


@pytest.mark.parametrize("change", [VideoLinks.point_to, lambda links, name, _artifact: links.remove(name)])
def test_what_stands_in_a_links_place_is_reported_and_stays(
    store: Store, change: Callable[[VideoLinks, str, ArtifactId], None]
):
    links, node = VideoLinks(store, suffix=".mp4"), made(store, 1)
    links.path("demo").mkdir(parents=True)
    with pytest.raises(StoreError, match=rf"^{links.path('demo')}: cannot be (made|removed) \(Is a directory\)\."):
        change(links, "demo", node.artifact)
    assert links.path("demo").is_dir()


def test_a_file_in_the_folders_place_is_reported(store: Store):
    links, node = VideoLinks(store, suffix=".mp4"), made(store, 1)
    (store.root / "videos").write_text("")
    with pytest.raises(StoreError, match=r"demo.mp4: cannot be made \(File exists\)\. Move away what is in its place"):
        links.point_to("demo", node.artifact)


def test_of_a_folder_of_links_that_lies_elsewhere_the_place_that_they_lead_to_counts(store: Store, tmp_path: Path):
    node = made(store, 1)
    (tmp_path / "other" / "videos").mkdir(parents=True)
    store.root.joinpath("videos").symlink_to(tmp_path / "other" / "videos")
    (tmp_path / "other" / "videos" / "demo.mp4").symlink_to(f"../export/{node.key}/video.mp4")  # of the other store
    assert not VideoLinks(store, suffix=".mp4").points_to("demo", node.artifact)
