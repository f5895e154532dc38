"""Removing and forgetting: never seen half done."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.store.artifacts import Store
from tests.builders import CODE, build_node, files_below, publish

pytestmark = pytest.mark.processes

PATHS = [str(Path(__file__).parents[2]), *sys.path]  # of another process


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


def test_a_removal_that_was_killed_leaves_an_artifact_or_none_and_can_be_repeated(store: Store, tmp_path: Path):
    program = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from tests.builders import build_node
from stages.store.artifacts import Store
left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in ("open", "os.remove", "os.rmdir", "os.listdir", "fcntl.flock"):
        left -= 1
        if left < 0:
            os._exit(9)
store, artifact = Store(Path(sys.argv[1])), build_node().artifact
sys.addaudithook(count)
store.remove(artifact)
"""
    node, states = build_node(), []
    for moment in range(100):
        publish(store, node)
        command = [sys.executable, "-c", program, str(store.root), str(moment), *PATHS]
        ended = subprocess.run(command, check=False, cwd=tmp_path)
        states.append(store.verdict(node, CODE).state)
        store.remove(node.artifact)
        assert not store.folder(node.artifact).exists()
        if ended.returncode == 0:
            break
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
    (store.folder(node.artifact) / "mine").mkdir()
    with pytest.raises(StoreError) as refused:
        store.remove(node.artifact)
    assert str(refused.value) == (
        f"{store.folder(node.artifact)}: cannot be removed (Is a directory). Fix its permissions, or ask whoever owns "
        "it."
    )
