"""The links by which a person finds videos."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import Node
from stages.store.artifacts import Store
from stages.store.video_links import VideoLinks
from tests.builders import acting_as_nobody, build_node, publish


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


def test_a_message_names_the_command_that_makes_the_link(store: Store):
    links, node = VideoLinks(store, suffix=".draft.mp4", command="doit draft"), made(store, 1)
    links.folder.mkdir(parents=True)
    links.path("demo").write_text("mine")
    with pytest.raises(StoreError) as refused:
        links.point_to("demo", node.artifact)
    assert str(refused.value) == (
        f"{links.folder}/demo.draft.mp4: is not a link that doit has made, and stays as it is. The video is "
        f"{store.payload(node.artifact)}. Move away what is there; then `doit draft demo` makes the link."
    )


def test_a_link_that_is_removed_leaves_the_artifact(store: Store):
    links, node = VideoLinks(store, suffix=".mp4"), made(store, 1)
    links.point_to("demo", node.artifact)
    assert links.remove("demo")
    assert not links.remove("demo")  # there is none any more
    assert not links.path("demo").is_symlink()
    assert store.payload(node.artifact).is_file()


def make_file(place: Path) -> None:
    place.write_text("mine")


def make_folder(place: Path) -> None:
    place.mkdir()


def make_link(place: Path) -> None:
    (place.parent / "mine").write_text("mine")
    place.symlink_to("mine")


def make_link_to_nothing(place: Path) -> None:
    place.symlink_to("/nowhere/video.mp4")


def make_link_into_another_store(place: Path) -> None:
    place.symlink_to(f"../../other/export/{'a' * 32}/video.mp4")


def make_link_to_another_file_of_the_store(place: Path) -> None:
    place.symlink_to("../logs/export.log")


def make_link_to_itself(place: Path) -> None:
    place.symlink_to(place.name)


OWN = [
    make_file,
    make_folder,
    make_link,
    make_link_to_nothing,
    make_link_into_another_store,
    make_link_to_another_file_of_the_store,
    make_link_to_itself,
]


@pytest.mark.parametrize("make_own", OWN)
def test_what_is_somebodys_own_in_a_links_place_is_never_replaced(store: Store, make_own: Callable[[Path], None]):
    links, node = VideoLinks(store, suffix=".mp4"), made(store, 1)
    links.folder.mkdir()
    make_own(links.path("demo"))
    assert not links.points_to("demo", node.artifact)
    before = identity(links.path("demo"))
    with pytest.raises(StoreError) as refused:
        links.point_to("demo", node.artifact)
    assert str(refused.value) == (
        f"{links.path('demo')}: is not a link that doit has made, and stays as it is. The video is "
        f"{store.payload(node.artifact)}. Move away what is there; then `doit demo` makes the link."
    )
    assert identity(links.path("demo")) == before


def identity(path: Path) -> tuple[int, int, int]:
    """What is another one once something else is there; to have been read is not to have been replaced."""
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@pytest.mark.parametrize("make_own", OWN)
def test_what_is_somebodys_own_in_a_links_place_is_never_removed(store: Store, make_own: Callable[[Path], None]):
    links = VideoLinks(store, suffix=".mp4")
    links.folder.mkdir(parents=True)
    make_own(links.path("demo"))
    before = identity(links.path("demo"))
    with pytest.raises(StoreError) as refused:
        links.remove("demo")
    assert str(refused.value) == (
        f"{links.path('demo')}: is not a link that doit has made, and stays as it is. Remove it by hand."
    )
    assert identity(links.path("demo")) == before


def test_a_link_to_an_artifact_that_is_gone_is_replaced_and_removed(store: Store):
    links, one, other = VideoLinks(store, suffix=".mp4"), made(store, 1), made(store, 2)
    links.point_to("demo", one.artifact)
    store.remove(one.artifact)
    links.point_to("demo", other.artifact)
    assert links.path("demo").read_bytes() == b"video 2"
    store.remove(other.artifact)
    assert links.remove("demo")


def test_what_a_killed_run_has_left_of_a_link_is_no_obstacle(store: Store):
    links, node = VideoLinks(store, suffix=".mp4"), made(store, 1)
    links.folder.mkdir()
    (links.folder / ".demo.mp4.new").symlink_to(f"../export/{node.key}/video.mp4")
    links.point_to("demo", node.artifact)
    assert {path.name for path in links.folder.iterdir()} == {"demo.mp4"}


def test_a_file_in_the_folders_place_is_reported_with_where_the_video_is(store: Store):
    links, node = VideoLinks(store, suffix=".mp4"), made(store, 1)
    links.folder.write_text("")
    with pytest.raises(StoreError) as refused:
        links.point_to("demo", node.artifact)
    assert str(refused.value) == (
        f"{links.path('demo')}: cannot be made (File exists). The video is {store.payload(node.artifact)}. Fix that; "
        "then `doit demo` makes the link."
    )


def test_a_folder_of_links_may_lie_elsewhere(store: Store, tmp_path: Path):
    links, one, other = VideoLinks(store, suffix=".mp4"), made(store, 1), made(store, 2)
    (tmp_path / "deep/er/videos").mkdir(parents=True)
    links.folder.symlink_to(tmp_path / "deep/er/videos")
    for node in (one, other):
        links.point_to("demo", node.artifact)
        assert links.points_to("demo", node.artifact)
        assert links.path("demo").read_bytes() == store.payload(node.artifact).read_bytes()
    assert links.remove("demo")


def test_a_store_behind_a_link_has_links(store: Store, tmp_path: Path):
    node = made(store, 1)
    (tmp_path / "behind").symlink_to(store.root)
    links = VideoLinks(Store(tmp_path / "behind"), suffix=".mp4")
    links.point_to("demo", node.artifact)
    assert links.points_to("demo", node.artifact)
    assert VideoLinks(store, suffix=".mp4").remove("demo")


def test_of_a_folder_of_links_that_lies_elsewhere_the_place_that_they_lead_to_counts(store: Store, tmp_path: Path):
    node = made(store, 1)
    (tmp_path / "other" / "videos").mkdir(parents=True)
    store.root.joinpath("videos").symlink_to(tmp_path / "other" / "videos")
    (tmp_path / "other" / "videos" / "demo.mp4").symlink_to(f"../export/{node.key}/video.mp4")  # of the other store
    assert not VideoLinks(store, suffix=".mp4").points_to("demo", node.artifact)


def test_what_a_link_led_to_before_is_known(store: Store):
    links, one, other = VideoLinks(store, suffix=".mp4"), made(store, 1), made(store, 2)
    links.point_to("demo", one.artifact)
    assert links.find_before("demo") is None
    links.point_to("demo", other.artifact)
    assert links.find_before("demo") == one.artifact
    links.point_to("demo", one.artifact)  # back again
    assert links.find_before("demo") == other.artifact


def test_a_link_that_is_made_again_has_the_same_before(store: Store):
    links, one, other = VideoLinks(store, suffix=".mp4"), made(store, 1), made(store, 2)
    for node in (one, other, other):
        links.point_to("demo", node.artifact)
    assert links.find_before("demo") == one.artifact


def test_after_a_removal_before_is_what_was_removed(store: Store):
    links, one, other = VideoLinks(store, suffix=".mp4"), made(store, 1), made(store, 2)
    links.point_to("demo", one.artifact)
    links.remove("demo")
    assert links.find_before("demo") == one.artifact
    links.point_to("demo", other.artifact)
    assert links.find_before("demo") == one.artifact


def test_a_link_is_removed_also_where_nothing_can_be_noted(store: Store):
    links, one = VideoLinks(store, suffix=".mp4"), made(store, 1)
    links.point_to("demo", one.artifact)
    (store.root / ".earlier").write_text("in the way")
    assert links.remove("demo")


def test_all_links_are_listed_and_nothing_that_is_somebodys_own(store: Store, tmp_path: Path):
    links, node = VideoLinks(store, suffix=".mp4"), made(store, 1)
    assert links.list_all() == {}
    links.point_to("demo", node.artifact)
    VideoLinks(store, suffix=".draft.mp4").point_to("demo", node.artifact)
    (links.folder / "own.mp4").write_bytes(b"own")
    (links.folder / "elsewhere.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    (links.folder / "notes.txt").write_text("own")
    assert links.list_all() == {"demo": node.artifact, "demo.draft": node.artifact}


def test_a_link_is_made_also_where_what_it_led_to_before_cannot_be_noted(store: Store):
    links, one, other = VideoLinks(store, suffix=".mp4"), made(store, 1), made(store, 2)
    links.point_to("demo", one.artifact)
    (store.root / ".earlier").write_text("in the way")
    links.point_to("demo", other.artifact)
    assert links.points_to("demo", other.artifact)


def test_another_users_link_in_a_sticky_folder_stays_and_nothing_is_left_beside_it(store: Store):
    links, one, other = VideoLinks(store, suffix=".mp4"), made(store, 1), made(store, 2)
    store.root.chmod(0o1777)
    links.point_to("demo", one.artifact)
    with acting_as_nobody(store.root), pytest.raises(StoreError) as refused:
        links.point_to("demo", other.artifact)
    assert str(refused.value) == (
        f"{links.path('demo')}: cannot be made (only its owner, user id 0, can replace it here). The video is "
        f"{store.payload(other.artifact)}. Fix that; then `doit demo` makes the link."
    )
    assert [*links.folder.iterdir()] == [links.path("demo")]
    assert links.points_to("demo", one.artifact)
