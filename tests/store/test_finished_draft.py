"""A draft that is finished: what lies beside its payload, and how it becomes an artifact."""

import json
from pathlib import Path

import pytest

from stages.keys import Digest
from stages.machine.regular_files import digest_file
from stages.store.finished_draft import complete_draft, complete_record, put_in_place
from stages.store.manifest import COLLECTED, MANIFEST, NOTE, RUN, Manifest
from tests.builders import CODE, build_node


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.of(build_node(), {}, code=CODE, payload="p", size_bytes=1, digest=Digest("d" * 32))


def test_beside_a_payload_lie_its_manifest_how_it_was_made_and_a_note(tmp_path: Path, manifest: Manifest):
    (tmp_path / "p").write_bytes(b"x")
    complete_draft(tmp_path, manifest, {"host": "here"})
    assert {path.name for path in tmp_path.iterdir()} == {"p", MANIFEST, RUN, NOTE}
    assert Manifest.from_json((tmp_path / MANIFEST).read_text()) == manifest
    assert json.loads((tmp_path / RUN).read_text()) == {"host": "here"}
    assert digest_file(tmp_path / RUN) in (tmp_path / NOTE).read_text()


def test_a_record_has_no_payload_and_the_name_that_gc_gives(tmp_path: Path, manifest: Manifest):
    complete_record(tmp_path, manifest, {"host": "here"})
    assert {path.name for path in tmp_path.iterdir()} == {MANIFEST, COLLECTED}
    assert Manifest.from_json((tmp_path / MANIFEST).read_text()) == manifest


def test_a_draft_takes_the_place_of_what_was_there(tmp_path: Path):
    draft, final, old = tmp_path / "draft", tmp_path / "stage/key", tmp_path / "old"
    for folder in (draft, final):
        folder.mkdir(parents=True)
        (folder / folder.name).touch()
    put_in_place(draft, final, old=old, root=tmp_path)
    assert [path.name for path in (*final.iterdir(), *old.iterdir())] == ["draft", "key"]


def test_where_a_draft_cannot_be_moved_what_was_there_is_back(tmp_path: Path):
    final = tmp_path / "stage/key"
    final.mkdir(parents=True)
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "no draft", final, old=tmp_path / "old", root=tmp_path)
    assert final.is_dir()
