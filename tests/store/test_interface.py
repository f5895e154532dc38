"""The protocol of where artifacts are kept."""

from pathlib import Path

from stages.store.artifacts import Store
from stages.store.interface import ArtifactStore
from tests.builders import CODE, build_node


def test_a_folder_is_a_store_and_answers_before_it_is_there(tmp_path: Path):
    store: ArtifactStore = Store(tmp_path / "artifacts")
    assert store.verdict(build_node(), CODE).state == "absent"
    assert not store.forget(build_node().artifact)
    assert not store.root.exists()
