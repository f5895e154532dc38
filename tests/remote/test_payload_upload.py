"""A payload to a remote store beside what others have put there, and what collectors have marked."""

from dataclasses import replace
from pathlib import Path

import pytest

from stages.errors import RemoteError
from stages.remote import payload_upload
from stages.remote.entry import Entry
from stages.remote.layout import mark_of_copy, name_parts
from stages.remote.payload_upload import Put, put_payload
from stages.store.artifacts import Store
from tests.remote.memory_bucket import MemoryBucket
from tests.remote.shared import ignore, made

PAYLOAD, PART_BYTES = b"0123456789abcdefXYZ", 8


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def entry(store: Store) -> Entry:
    return replace(made(store, PAYLOAD)[1], part_bytes=PART_BYTES)


def put(
    bucket: MemoryBucket, store: Store, entry: Entry, there: Entry | None = None, *, is_renewed: bool = False
) -> Put:
    folder = store.folder(entry.manifest.node.artifact)
    return put_payload(bucket, folder, entry, there, ignore, is_renewed=is_renewed)


def content(bucket: MemoryBucket, entry: Entry, copy: str) -> bytes:
    return b"".join(bucket.objects[name][0] for name in name_parts(entry.manifest, PART_BYTES, copy))


def mark(bucket: MemoryBucket, entry: Entry, copy: str = "") -> None:
    bucket.put(mark_of_copy(entry.manifest.digest, copy, "0" * 32), b"")


def test_where_nothing_is_there_the_first_copy_is_put_and_not_touched(store: Store, entry: Entry):
    bucket = MemoryBucket()
    assert put(bucket, store, entry) == Put("", len(PAYLOAD))
    assert sorted(bucket.objects) == name_parts(entry.manifest, PART_BYTES)


def test_what_is_relied_on_is_touched_before_it_is_looked_at_once_more(store: Store, entry: Entry):
    bucket = MemoryBucket()
    put(bucket, store, entry)
    assert put(bucket, store, entry) == Put("", 0)
    assert [*bucket.objects][-1] == f"payloads/{entry.manifest.digest}/.touched"


def test_a_copy_that_a_collector_has_marked_is_put_once_more_under_another_name(store: Store, entry: Entry):
    bucket = MemoryBucket()
    put(bucket, store, entry)
    mark(bucket, entry)
    found = put(bucket, store, entry)
    assert (len(found.copy), found.num_bytes) == (32, len(PAYLOAD))
    assert content(bucket, entry, found.copy) == PAYLOAD
    assert put(bucket, store, entry) == Put(found.copy, 0)  # and is what the next push finds


def test_the_copy_of_which_the_remote_store_speaks_is_gone_on_with(store: Store, entry: Entry):
    bucket, there = MemoryBucket(), replace(entry, copy="f" * 32)
    assert put(bucket, store, entry, there) == Put("f" * 32, len(PAYLOAD))
    assert put(bucket, store, entry, there) == Put("f" * 32, 0)


def test_what_was_damaged_is_put_again_in_its_place(store: Store, entry: Entry):
    bucket = MemoryBucket()
    put(bucket, store, entry)
    bucket.put(name_parts(entry.manifest, PART_BYTES)[1], b"########")
    assert put(bucket, store, entry, entry, is_renewed=True) == Put("", len(PAYLOAD))
    assert content(bucket, entry, "") == PAYLOAD


def test_a_push_that_took_long_looks_again_before_it_relies_on_what_it_has_put(
    store: Store, entry: Entry, monkeypatch: pytest.MonkeyPatch
):
    bucket, times = MemoryBucket(), iter([0.0, 1000.0, 1001.0, 1002.0])
    monkeypatch.setattr(payload_upload, "_now_s", lambda: next(times))
    assert put(bucket, store, entry) == Put("", len(PAYLOAD))
    assert [*bucket.objects][-1] == f"payloads/{entry.manifest.digest}/.touched"


def test_where_that_never_ends_it_is_an_error(store: Store, entry: Entry, monkeypatch: pytest.MonkeyPatch):
    times = iter(range(0, 10**6, 1000))
    monkeypatch.setattr(payload_upload, "_now_s", lambda: float(next(times)))
    with pytest.raises(RemoteError) as error:
        put(MemoryBucket(), store, entry)
    assert str(error.value) == (
        f"{entry.manifest.node.title}: the remote store is too slow, or others delete what is sent."
    )
