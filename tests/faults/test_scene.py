"""The instruments themselves: a fault that was planted is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.store.artifacts import Store
from stages.store.manifest import MANIFEST
from tests.builders import build_node, publish
from tests.faults.killing import JOBS, VICTIMS, plan
from tests.faults.scene import Scene

pytestmark = pytest.mark.processes


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scene with one artifact."""
    scene = Scene(tmp_path)
    publish(Store(scene.store), build_node())
    return scene


def folder_of(scene: Scene) -> Path:
    (folder,) = (scene.store / "encode").iterdir()
    return folder


def test_an_artifact_is_found_with_its_digest(scene: Scene):
    found = scene.look()
    assert [*found.digests] == [f"encode/{folder_of(scene).name}"]
    assert (found.wrong, found.drafts, found.temporary) == ((), (), ())


def test_a_payload_that_was_cut_is_found(scene: Scene):
    with (folder_of(scene) / "embeddings.safetensors").open("r+b") as file:
        file.truncate(3)
    (wrong,) = scene.look().wrong
    assert "3 bytes, the manifest says 7" in wrong


def test_a_manifest_that_was_cut_is_found(scene: Scene):
    (folder_of(scene) / MANIFEST).write_text('{"payload": ')
    assert len(scene.look().wrong) == 1


def test_a_payload_with_other_bytes_has_another_digest(scene: Scene):
    before = scene.look()
    (folder_of(scene) / "embeddings.safetensors").write_bytes(b"PAYLOAD")
    assert scene.look().digests != before.digests


def test_an_artifact_that_was_made_again_is_another_one(scene: Scene):
    before = scene.look()
    Store(scene.store).forget(build_node().artifact)
    publish(Store(scene.store), build_node())
    after = scene.look()
    assert after.digests == before.digests
    assert after.identities != before.identities


def test_a_draft_and_a_temporary_file_are_found(scene: Scene):
    (scene.store / ".drafts/abc").mkdir()
    (scene.store / ".stat-cache.json-0123").touch()
    assert (scene.look().drafts, scene.look().temporary) == (("abc",), (".stat-cache.json-0123",))


def test_a_held_lock_is_found(scene: Scene):
    assert scene.held_locks() == []
    with Store(scene.store).exclusive():
        assert scene.held_locks() == [".lock"]


def test_processes_of_the_scene_are_found_and_no_others(scene: Scene):
    assert scene.process_ids() == []
    marked = {**os.environ, "HUNYUAN_STAGES_TEST_SCENE": str(scene.root)}
    with subprocess.Popen([sys.executable, "-c", "input()"], env=marked, stdin=subprocess.PIPE) as process:
        while process.pid not in scene.process_ids():  # until it has become Python
            assert process.poll() is None
        assert scene.process_ids() == [process.pid]
        scene.end_all()
    assert scene.wait_until_alone(0) is not None


def test_a_plan_follows_from_its_seed_and_has_every_victim_with_both_numbers_of_jobs():
    attempts = plan(seed=3, number=20)
    assert attempts == plan(seed=3, number=20)
    assert attempts != plan(seed=4, number=20)
    assert {(each.victim, each.jobs) for each in attempts} == {(victim, jobs) for victim in VICTIMS for jobs in JOBS}
