"""The seam to object storage, kept by the library's."""

from pathlib import Path

import pytest

from stages.remote.bucket import Bucket, StoredObject
from stages.remote.object_storage import ObjectStorage
from tests.remote.shared import open_folder


@pytest.fixture
def bucket(tmp_path: Path) -> ObjectStorage:
    return open_folder(tmp_path / "bucket")


def test_the_storage_of_the_library_is_a_bucket(bucket: ObjectStorage):
    assert isinstance(bucket, Bucket)


def test_what_was_put_is_listed_below_its_folder_and_got(bucket: ObjectStorage):
    bucket.put("a/b", b"xyz")
    bucket.put("c", b"")
    found = [*bucket.list("a")]
    assert [(each.name, each.size_bytes) for each in found] == [("a/b", 3)]
    assert isinstance(found[0], StoredObject)
    assert bucket.get("a/b") == b"xyz"
    assert bucket.get("c") == b""


def test_what_is_not_there_is_none(bucket: ObjectStorage):
    assert bucket.get("a") is None
    assert [*bucket.list("a")] == []


def test_only_the_first_of_new_ones_is_put(bucket: ObjectStorage):
    assert bucket.put_new("a", b"one")
    assert not bucket.put_new("a", b"two")
    assert bucket.get("a") == b"one"


def test_what_is_deleted_is_gone_and_what_was_not_there_is_no_fault(bucket: ObjectStorage):
    bucket.put("a", b"x")
    bucket.put("b", b"x")
    bucket.delete(["a", "no", "b"])
    bucket.delete([])
    assert [*bucket.list("")] == []


def test_pieces_are_seen_as_they_come(bucket: ObjectStorage):
    seen: list[int] = []
    bucket.put("a", bytes(1 << 20))
    bucket.get("a", seen.append)
    assert sum(seen) == 1 << 20
