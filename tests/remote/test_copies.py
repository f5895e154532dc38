"""Copies of payloads as a listing shows them."""

from stages.keys import Digest
from stages.remote.bucket import StoredObject
from stages.remote.copies import Copy, CopyId, read_copies

DIGEST, COPY, COLLECTOR = Digest("d" * 32), "c" * 32, "0" * 32
FIRST = f"payloads/{DIGEST}"


def listed(*names: str) -> list[StoredObject]:
    """Objects of one byte each, every one a second younger than the one before."""
    return [StoredObject(name, 1, 100.0 + number) for number, name in enumerate(names)]


def test_parts_touches_and_marks_of_each_copy_are_told_apart():
    found = read_copies(
        listed(
            f"{FIRST}/x.mp4.00000",
            f"{FIRST}/x.mp4.00001",
            f"{FIRST}/.collected-{COLLECTOR}",
            f"{FIRST}/{COPY}/x.mp4",
            f"{FIRST}/{COPY}/.touched",
        )
    )
    assert found == {
        CopyId(DIGEST, ""): Copy(
            {f"{FIRST}/x.mp4.00000": 1, f"{FIRST}/x.mp4.00001": 1}, {f"{FIRST}/.collected-{COLLECTOR}": 102.0}, 101.0
        ),
        CopyId(DIGEST, COPY): Copy({f"{FIRST}/{COPY}/x.mp4": 1}, {}, 104.0, is_touched=True),
    }


def test_a_copy_has_parts_only_in_their_size():
    copy = Copy({"a": 1, "b": 2})
    assert copy.has({"a": 1})
    assert not copy.has({"a": 1, "b": 3})
    assert not copy.has({"c": 1})


def test_what_is_deleted_with_a_copy_is_all_but_its_marks():
    copy_id = CopyId(DIGEST, COPY)
    copy = Copy({"a": 1}, {"mark": 5.0}, is_touched=True)
    assert copy.objects(copy_id) == ["a", f"{FIRST}/{COPY}/.touched"]


def test_other_objects_do_not_count():
    names = (f"{FIRST}/.other", "payloads/x/y", f"{FIRST}/{COPY}/a/b", "payloads/notes.txt", f"{FIRST}/.collected-x")
    assert read_copies(listed(*names)) == {}
