"""An artifact to a remote store: payload first, the small object last, and what is there is not sent again."""

import threading
from collections.abc import Collection
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from stages.errors import RemoteError, StoreError
from stages.keys import Digest, Node
from stages.remote.entry import Entry
from stages.remote.layout import name_entry, name_parts, variant_of
from stages.remote.object_storage import ObjectStorage
from stages.remote.upload import Pushed, read_local, upload
from stages.store.artifacts import Store
from stages.store.manifest import RUN
from tests.builders import files_below, publish
from tests.remote.shared import catalog_of, ignore, made, open_folder

PAYLOAD = b"0123456789abcdefXYZ"
PART_BYTES = 8


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


@pytest.fixture
def bucket(tmp_path: Path) -> ObjectStorage:
    return open_folder(tmp_path / "bucket")


def make_in_parts(store: Store, prompt: str = "x") -> tuple[Node, Entry]:
    node, entry = made(store, PAYLOAD, prompt=prompt)
    return node, replace(entry, part_bytes=PART_BYTES)


def push(
    bucket: ObjectStorage, store: Store, entry: Entry, *, is_whole: bool = True, refused: Collection[Digest] = ()
) -> Pushed:
    folder = store.folder(entry.manifest.node.artifact)
    catalog = catalog_of(Path(bucket._address.path))
    return upload(
        bucket, catalog, folder, entry, ignore, is_whole=is_whole, is_refused=lambda digest: digest in refused
    )


def make_twice(store: Store, other: Store) -> tuple[Entry, Entry]:
    """One artifact made on two machines, which differ in what came out."""
    node, first = made(store, b"one")
    publish(other, node, b"two")
    return first, read_local(other.folder(node.artifact), other.present_manifest(node.artifact))


def test_a_payload_is_put_by_its_digest_and_what_says_so_by_key_and_variant(
    store: Store, bucket: ObjectStorage, tmp_path: Path
):
    node, entry = made(store, PAYLOAD)
    assert push(bucket, store, entry) == Pushed(len(PAYLOAD), is_first=True)
    assert files_below(tmp_path / "bucket") == {
        f"payloads/{entry.manifest.digest}/embeddings.safetensors": PAYLOAD,
        f"artifacts/encode/{node.key}/{variant_of(entry.manifest)}.json": entry.to_bytes(),
    }


def test_a_large_payload_is_put_in_parts(store: Store, bucket: ObjectStorage, tmp_path: Path):
    _, entry = make_in_parts(store)
    push(bucket, store, entry)
    parts = [(tmp_path / "bucket" / name).read_bytes() for name in name_parts(entry.manifest, PART_BYTES)]
    assert parts == [b"01234567", b"89abcdef", b"XYZ"]


def test_without_its_payload_only_what_it_is_is_put(store: Store, bucket: ObjectStorage, tmp_path: Path):
    node, entry = made(store)
    assert push(bucket, store, entry, is_whole=False) == Pushed(0, is_first=True)
    assert list(files_below(tmp_path / "bucket")) == [f"records/encode/{node.key}/{variant_of(entry.manifest)}.json"]


def test_what_is_there_is_not_sent_again(store: Store, bucket: ObjectStorage):
    _, entry = make_in_parts(store)
    push(bucket, store, entry)
    assert push(bucket, store, entry) == Pushed(0, is_first=True)


def test_a_twin_in_parts_of_another_size_leaves_the_parts_of_the_first_as_they_are(
    store: Store, bucket: ObjectStorage, tmp_path: Path
):
    entries = [
        replace(made(store, PAYLOAD, prompt=prompt)[1], part_bytes=size) for prompt, size in (("x", 4), ("y", 8))
    ]
    for entry in (*entries, *entries):
        push(bucket, store, entry)
        for there in entries[: len(catalog_of(tmp_path / "bucket").names())]:
            names = name_parts(there.manifest, there.part_bytes)
            assert b"".join(bucket.get(name) or b"" for name in names) == PAYLOAD
    assert [push(bucket, store, entry).num_bytes for entry in entries] == [0, 0]


def test_a_push_that_was_cut_goes_on_with_the_parts_that_are_missing(
    store: Store, bucket: ObjectStorage, tmp_path: Path
):
    _, entry = make_in_parts(store)
    names = name_parts(entry.manifest, PART_BYTES)
    bucket.put(names[0], PAYLOAD[:PART_BYTES])
    bucket.put(names[1], b"89")  # of another size than the part: it is put again
    assert push(bucket, store, entry).num_bytes == len(PAYLOAD) - PART_BYTES
    assert b"".join((tmp_path / "bucket" / name).read_bytes() for name in names) == PAYLOAD


def test_parts_that_were_damaged_there_are_put_again_if_asked_for(store: Store, bucket: ObjectStorage, tmp_path: Path):
    _, entry = make_in_parts(store)
    push(bucket, store, entry)
    damaged = name_parts(entry.manifest, PART_BYTES)[1]
    bucket.put(damaged, b"89abcdeF")
    assert push(bucket, store, entry, refused=[entry.manifest.digest]).num_bytes == len(PAYLOAD)
    assert (tmp_path / "bucket" / damaged).read_bytes() == b"89abcdef"


def test_of_two_variants_with_other_bytes_the_first_stays_and_nothing_of_the_second_is_sent(
    store: Store, bucket: ObjectStorage, tmp_path: Path
):
    other = Store(tmp_path / "other")
    first, second = make_twice(store, other)
    push(bucket, store, first)
    before = files_below(tmp_path / "bucket")
    assert push(bucket, other, second) == Pushed(0, is_first=False)
    assert files_below(tmp_path / "bucket") == before


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "damaged"])
def test_another_variant_takes_the_place_of_one_that_nobody_can_fetch(
    store: Store, bucket: ObjectStorage, tmp_path: Path, *, is_gone: bool
):
    other = Store(tmp_path / "other")
    first, second = make_twice(store, other)
    push(bucket, store, first)
    payload = name_parts(first.manifest)[0]
    if is_gone:
        bucket.delete([payload])
    else:
        bucket.put(payload, b"onf")
    refused = () if is_gone else (first.manifest.digest,)
    assert push(bucket, other, second, refused=refused) == Pushed(3, is_first=True)
    name = name_entry(second.manifest.node.artifact, variant_of(first.manifest), is_whole=True)
    assert bucket.get(name) == second.to_bytes()
    assert push(bucket, store, first) == Pushed(0, is_first=False)  # from now on it is the first


def test_an_object_that_says_nothing_is_replaced(store: Store, bucket: ObjectStorage):
    node, entry = made(store)
    name = name_entry(node.artifact, variant_of(entry.manifest), is_whole=True)
    bucket.put(name, b"\0")
    assert push(bucket, store, entry).is_first
    assert bucket.get(name) == entry.to_bytes()


def test_a_damaged_payload_is_not_pushed_and_nothing_says_that_it_was(
    store: Store, bucket: ObjectStorage, tmp_path: Path
):
    node, entry = made(store)
    store.payload(node.artifact).write_bytes(b"Payload")
    with pytest.raises(StoreError, match=r"the manifest says [0-9a-f]{32}; it was not pushed\. Run `doit verify`\.$"):
        push(bucket, store, entry)
    assert files_below(tmp_path / "bucket") == {}


def test_a_payload_that_is_gone_is_an_error_of_the_store(store: Store, bucket: ObjectStorage):
    node, entry = made(store)
    store.payload(node.artifact).unlink()
    with pytest.raises(StoreError) as error:
        push(bucket, store, entry)
    file = store.payload(node.artifact)
    assert str(error.value) == f"{file}: cannot be read (No such file or directory). It was not pushed."


def test_nothing_says_what_an_artifact_is_before_all_of_its_payload_is_there(store: Store, bucket: ObjectStorage):
    _, entry = make_in_parts(store)
    begun, there = count(), threading.Semaphore(0)

    class Failing(ObjectStorage):
        def put(self, name: str, content: bytes) -> None:
            if next(begun) == 2:  # of three parts at a time; the others come through
                assert all(there.acquire(timeout=30) for _ in range(2))
                raise RemoteError("file:///: it cannot be reached, or broke off.")
            super().put(name, content)
            there.release()

    failing = Failing(bucket._address, bucket._store, bucket._store)
    with pytest.raises(RemoteError):
        push(failing, store, entry)
    assert all(each.name.startswith("payloads/") for each in bucket.list(""))
    assert push(bucket, store, entry).num_bytes < len(PAYLOAD)


def test_where_run_json_cannot_be_read_the_rest_is_pushed(store: Store, bucket: ObjectStorage):
    node, entry = made(store)
    (store.folder(node.artifact) / RUN).write_text("[1")
    entry = read_local(store.folder(node.artifact), entry.manifest)
    assert entry.run == {}
    assert push(bucket, store, entry).is_first
