"""Removing and forgetting: never seen half done."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.store.artifacts import Store
from tests.builders import build_node, files_below, publish
from tests.store.moments import states_after

pytestmark = pytest.mark.processes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def test_forgetting_and_removing_what_is_not_there_does_nothing(store: Store):
    node = build_node()
    assert not store.forget(node.artifact)
    assert not store.remove(node.artifact)


def test_removing_leaves_every_other_artifact(store: Store):
    one, other = build_node(prompt="one"), build_node(prompt="other")
    publish(store, one)
    before = files_below(store.root)
    publish(store, other)
    assert store.remove(other.artifact)
    assert files_below(store.root) == before


def test_removing_makes_no_draft_for_which_a_full_disk_has_no_room(store: Store):
    node = build_node()
    publish(store, node)
    shutil.rmtree(store.root / ".drafts")
    assert store.remove(node.artifact)
    assert {path.name for path in store.root.iterdir()} == {".lock", "encode"}
    assert list((store.root / "encode").iterdir()) == []


def test_a_removal_that_was_killed_leaves_an_artifact_or_none_and_can_be_repeated(tmp_path: Path):
    states = states_after("kill_remover", tmp_path / "artifacts")
    assert {*states} == {"fresh", "absent"}
    assert states == sorted(states, reverse=True)


def test_of_an_artifact_that_is_a_link_to_another_place_only_the_link_is_removed(store: Store, tmp_path: Path):
    node = build_node()
    publish(store, node)
    store.folder(node.artifact).rename(tmp_path / "elsewhere")
    store.folder(node.artifact).symlink_to(tmp_path / "elsewhere")
    assert store.remove(node.artifact)
    assert not store.remove(node.artifact)
    assert (tmp_path / "elsewhere/manifest.json").is_file()


def test_what_cannot_be_removed_is_one_message(store: Store):
    node = build_node()
    publish(store, node)
    manifest = store.folder(node.artifact) / "manifest.json"
    manifest.unlink()
    manifest.mkdir()
    with pytest.raises(StoreError) as refused:
        store.remove(node.artifact)
    assert str(refused.value) == (
        f"{store.folder(node.artifact)}: cannot be removed (Is a directory). Fix its permissions, or ask whoever owns "
        "it."
    )


def test_a_folder_that_somebody_has_put_there_stays_and_the_rest_goes(store: Store):
    node = build_node()
    publish(store, node)
    own = store.folder(node.artifact) / "frames as pictures"
    own.mkdir()
    assert store.remove(node.artifact)
    assert [*store.folder(node.artifact).iterdir()] == [own]


def test_several_may_remove_the_same(store: Store):
    nodes = [build_node(prompt=str(number)) for number in range(30)]
    for node in nodes:
        publish(store, node)
    start = threading.Barrier(3)

    def remove(_: int) -> None:
        for node in nodes:
            start.wait()
            store.remove(node.artifact)

    with ThreadPoolExecutor() as pool:
        assert [*pool.map(remove, range(3))] == [None] * 3
    assert [*(store.root / "encode").iterdir()] == []


def test_what_cannot_be_removed_leaves_no_file_open(store: Store):
    node = build_node()
    publish(store, node)
    manifest = store.folder(node.artifact) / "manifest.json"
    manifest.unlink()
    manifest.mkdir()
    num_open = len([*Path("/dev/fd").iterdir()])
    for _ in range(3):
        with pytest.raises(StoreError):
            store.remove(node.artifact)
    assert len([*Path("/dev/fd").iterdir()]) == num_open
