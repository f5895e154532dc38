"""What runs leave behind: what is found, and that nobody's own files are."""

import os
from pathlib import Path

import pytest

from stages.machine.file_lock import open_lock, try_lock
from stages.store.artifacts import Store
from stages.store.leftovers import (
    File,
    beyond,
    delete_files,
    links_to_artifacts,
    list_logs,
    list_transfers,
    list_unfinished,
    remove_empty_transfers,
    remove_unfinished_folders,
    size_of_folder,
    sweep_drafts,
    unlink_dangling,
)
from stages.store.quantities import Limit
from stages.store.video_links import VideoLinks
from tests.builders import build_node, collect, publish
from tests.store.inventories import DAY, NOW

HEX = "0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def write(path: Path, content: str = "content", age_s: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (NOW - age_s, NOW - age_s))
    return path


def names(files: list[File]) -> set[str]:
    return {file.path.name for file in files}


def test_logs_are_known_by_their_names(tmp_path: Path):
    own = write(tmp_path / "logs/decode-20261129-154025-my-host-23432.log")
    write(tmp_path / "logs/notes.log")
    write(tmp_path / "logs/decode.txt")
    (tmp_path / "logs/decode-20261129-154025-vm-1.log").mkdir()
    (tmp_path / "logs/decode-20261129-154025-vm-2.log").symlink_to(own)
    assert list_logs(tmp_path) == [File(own, len("content"), NOW)]
    assert list_logs(tmp_path / "nowhere") == []


def test_transfers_with_which_nobody_went_on_are_known_by_their_age(tmp_path: Path):
    digest = HEX * 2
    old = {
        write(tmp_path / f".remote/{digest}/payload", age_s=2 * DAY),
        write(tmp_path / f".remote/refused/{digest}/video.mp4", age_s=2 * DAY),
    }
    write(tmp_path / f".remote/{digest}/lock", age_s=2 * DAY)  # whoever goes on holds it
    write(tmp_path / f".remote/{digest[::-1]}/payload", age_s=0.5 * DAY)
    write(tmp_path / f".remote/refused/{digest[::-1]}/video.mp4", age_s=0.5 * DAY)
    assert {file.path for file in list_transfers(tmp_path, now=NOW)} == old
    assert list_transfers(tmp_path / "nowhere", now=NOW) == []


def test_folders_of_transfers_that_hold_nothing_go_unless_somebody_has_them(tmp_path: Path):
    for name in ("a/lock", "b/lock", "c/lock", "c/payload", "refused/d/video.mp4"):
        write(tmp_path / ".remote" / name)
    (tmp_path / ".remote/refused/e").mkdir()
    held = open_lock(tmp_path / ".remote/b/lock")
    try_lock(held)
    remove_empty_transfers(tmp_path)
    os.close(held)
    left = {str(path.relative_to(tmp_path / ".remote")) for path in tmp_path.glob(".remote/**/*")}
    assert left == {"b", "b/lock", "c", "c/lock", "c/payload", "refused", "refused/d", "refused/d/video.mp4"}
    remove_empty_transfers(tmp_path / "nowhere")


def test_files_that_were_never_finished_are_known_by_their_names_and_their_age(tmp_path: Path):
    write(tmp_path / f".stat-cache.json-{HEX}", age_s=2 * DAY)
    write(tmp_path / f"pins/.export-1.json-{HEX}", age_s=2 * DAY)
    write(tmp_path / f".earlier/.demo.mp4-{HEX}", age_s=2 * DAY)
    write(tmp_path / f".leases/.denoise-1.stop-{HEX}", age_s=2 * DAY)
    write(tmp_path / f".stat-cache.json-{HEX[::-1]}", age_s=0.5 * DAY)  # somebody may be writing it
    write(tmp_path / ".stat-cache.json", age_s=2 * DAY)
    write(tmp_path / f"notes-{HEX}", age_s=2 * DAY)
    write(tmp_path / f"encode/1/.checked-{HEX}", age_s=2 * DAY)
    write(tmp_path / "encode/1/.checked", age_s=2 * DAY)
    assert names(list_unfinished(tmp_path, [tmp_path / "encode/1", tmp_path / "gone"], now=NOW)) == {
        f".stat-cache.json-{HEX}", f".export-1.json-{HEX}", f".checked-{HEX}", f".demo.mp4-{HEX}",
        f".denoise-1.stop-{HEX}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        (Limit(age_s=2.5 * DAY), {"3"}),
        (Limit(age_s=0.0), {"1", "2", "3"}),
        (Limit(size_bytes=21), set()),
        (Limit(size_bytes=20), {"3"}),
        (Limit(size_bytes=14), {"3"}),
        (Limit(size_bytes=0), {"1", "2", "3"}),
    ],
)
def test_beyond_a_limit_are_the_least_recently_used(tmp_path: Path, limit: Limit, found: set[str]):
    files = [File(tmp_path / str(days), 7, NOW - days * DAY) for days in (1, 2, 3)]
    assert names(beyond(files, limit, now=NOW)) == found


def test_of_deleted_files_the_bytes_count_and_one_that_is_gone_counts_nothing(tmp_path: Path):
    files = [File(write(tmp_path / "one"), 7, NOW), File(tmp_path / "gone", 7, NOW)]
    assert delete_files(files) == 7
    assert [*tmp_path.iterdir()] == []


def test_of_a_killed_writers_draft_the_bytes_count(store: Store):
    publish(store, build_node())
    write(store.root / ".drafts/a.lock", "")
    write(store.root / ".drafts/a/new/half", "x" * 1000)
    assert sweep_drafts(store.root) == 1000
    with store.draft() as draft:
        (draft / "half").write_text("x" * 1000)
        assert sweep_drafts(store.root) == 0


@pytest.fixture
def links(store: Store) -> VideoLinks:
    """With one of a video that is there, and one of a video that was collected."""
    links = VideoLinks(store, suffix=".mp4")
    for name in ("there", "gone"):
        node = build_node("export", name=name)
        publish(store, node)
        links.point_to(name, node.artifact)
        if name == "gone":
            collect(store, node)
    return links


def test_a_link_is_known_by_how_it_is_written(store: Store, links: VideoLinks):
    found = links_to_artifacts(store.root)
    assert {*found} == {links.path("there"), links.path("gone")}
    artifact, payload = found[links.path("there")]
    assert payload == store.payload(artifact)


def test_only_links_to_what_is_gone_are_deleted(store: Store, links: VideoLinks):
    assert [*unlink_dangling(store.root)] == [links.path("gone")]
    assert [*links.path("there").parent.iterdir()] == [links.path("there")]


@pytest.mark.parametrize(
    "target",
    [
        "/nowhere/video.mp4",
        f"/nowhere/export/{'a' * 32}/video.mp4",
        "../../export/mine.mp4",
        "mine.mp4",
        f"../export/{'a' * 31}/video.mp4",
        f"../export/{'a' * 32}/../video.mp4",
        f"../../artifacts/export/{'a' * 32}/video.mp4",
    ],
)
def test_a_persons_own_link_stays_though_it_leads_nowhere(store: Store, links: VideoLinks, target: str):
    own = links.path("gone").with_name("own.mp4")
    own.symlink_to(target)
    assert [*unlink_dangling(store.root)] == [links.path("gone")]
    assert own.is_symlink()


def test_a_persons_own_file_stays(store: Store, links: VideoLinks):
    own = write(links.path("gone").with_name("own.mp4"))
    unlink_dangling(store.root)
    assert own.read_text() == "content"


def test_where_the_folder_of_the_links_is_a_link_nobody_knows_what_they_mean(
    store: Store, links: VideoLinks, tmp_path: Path
):
    (store.root / "videos").rename(tmp_path / "elsewhere")
    (store.root / "videos").symlink_to(tmp_path / "elsewhere")
    assert links_to_artifacts(store.root) == {}
    assert links.path("gone").is_symlink()


def test_the_size_of_a_folder_is_that_of_all_files_below_it(tmp_path: Path):
    write(tmp_path / "one", "x" * 10)
    write(tmp_path / "deep/er/two", "x" * 5)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    os.mkfifo(tmp_path / "pipe")
    assert size_of_folder(tmp_path) == 15
    assert size_of_folder(tmp_path / "nowhere") == 0


def test_a_folder_may_be_nested_deeper_than_python_calls_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    Path("file").write_text("x" * 10)
    assert size_of_folder(tmp_path) == 10
    Path("file").unlink()
    for _ in range(1200):  # what deletes the folders of tests calls itself, too
        os.chdir("..")
        Path("d").rmdir()


def test_a_folder_that_a_killed_process_was_making_is_removed_when_it_is_old_and_empty(tmp_path: Path):
    old, young = NOW - 2 * DAY, NOW - 60.0
    folders = {
        f".drafts-{HEX}": old,
        f"partial/.denoise-{HEX}": old,
        f".new-{HEX}": young,
        f".full-{HEX}": old,
        f"named-{HEX}": old,
    }
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / f".full-{HEX}/file").touch()
    for name, time in folders.items():
        os.utime(tmp_path / name, (time, time))
    remove_unfinished_folders(tmp_path, now=NOW)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {"partial", f".new-{HEX}", f".full-{HEX}", f".full-{HEX}/file", f"named-{HEX}"}


def test_what_a_link_led_to_that_gc_deletes_is_noted(tmp_path: Path):
    store = Store(tmp_path)
    node = build_node("export", inputs={}, from_file="a" * 32)
    publish(store, node)
    links = VideoLinks(store, suffix=".mp4")
    links.point_to("gone", node.artifact)
    store.payload(node.artifact).unlink()
    unlink_dangling(tmp_path)
    assert links.find_before("gone") == node.artifact
