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


def test_an_object_is_read_piece_by_piece(bucket: ObjectStorage):
    seen: list[bytes] = []
    bucket.put("a", bytes(range(256)) * 4096)
    assert bucket.read("a", lambda piece: seen.append(bytes(piece)))
    assert b"".join(seen) == bytes(range(256)) * 4096
    assert not bucket.read("b", lambda _piece: pytest.fail("there is nothing"))


def test_who_cannot_take_a_piece_is_not_taken_for_the_remote_store(bucket: ObjectStorage):
    def take(_piece: memoryview) -> None:
        raise OSError(28, "No space left on device")

    bucket.put("a", b"x")
    with pytest.raises(OSError, match="No space left on device"):
        bucket.read("a", take)
