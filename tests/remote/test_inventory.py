"""What lies in a remote store, whoever put it there."""

from dataclasses import replace
from pathlib import Path

import pytest

from stages.keys import Digest
from stages.remote.catalog import Catalog
from stages.remote.entry import Entry
from stages.remote.inventory import Inventory, ItemId, Listing, Unreadable, ask_time
from stages.remote.layout import folder_of_uses, name_entry, name_use, variant_of
from stages.remote.upload import upload
from stages.store.artifacts import Store
from tests.builders import build_chain, publish
from tests.remote.memory_bucket import Actor, MemoryBucket
from tests.remote.shared import ignore, made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def push(bucket: MemoryBucket, store: Store, entry: Entry, *, is_whole: bool = True) -> ItemId:
    artifact = entry.manifest.node.artifact
    upload(bucket, Catalog(bucket), store.folder(artifact), entry, ignore, is_whole=is_whole)
    return ItemId(artifact, variant_of(entry.manifest))


def test_an_artifact_is_found_with_its_payload_and_when_it_was_put(store: Store):
    bucket, (_, entry) = MemoryBucket(), made(store)
    item_id = push(bucket, store, entry)
    (found,) = Listing(bucket).take().items.items()
    assert found[0] == item_id
    assert (found[1].copy, found[1].size_bytes) == ((entry.manifest.digest, ""), len(b"payload"))
    assert found[1].last_use == bucket.objects[name_entry(*item_id, is_whole=True)][1]


def test_a_use_makes_it_younger(store: Store):
    bucket, (_, entry) = MemoryBucket(), made(store)
    item_id = push(bucket, store, entry)
    bucket.now += 1000
    bucket.put(name_use(*item_id), b"")
    used = bucket.now
    assert Listing(bucket).take().items[item_id].last_use == used


def test_what_is_known_of_both_kinds_is_one_artifact(store: Store):
    bucket, (_, entry) = MemoryBucket(), made(store)
    assert push(bucket, store, entry, is_whole=False) == push(bucket, store, entry)
    (item,) = Listing(bucket).take().items.values()
    assert sorted(each.is_whole for each in item.found) == [False, True]
    assert item.copy is not None


def test_marks_and_uses_of_what_is_not_there_are_told_apart(store: Store):
    bucket, (_, entry) = MemoryBucket(), made(store)
    item_id = push(bucket, store, entry)
    gone = replace(entry, manifest=replace(entry.manifest, code=Digest("0" * 32)))
    lost = name_use(item_id.artifact, variant_of(gone.manifest))
    mark = f"{folder_of_uses(*item_id)}/{'0' * 32}"
    for name in (lost, mark, name_use(*item_id), "uses/other"):
        bucket.put(name, b"")
    found = Listing(bucket).take()
    assert ([*found.marks], [*found.uses]) == ([mark], [lost])


def test_what_it_was_made_from_is_found_by_key_and_by_the_bytes_that_were_read(store: Store):
    bucket, (encode, denoise) = MemoryBucket(), build_chain(prompt="x")
    publish(store, encode, b"one")
    publish(store, denoise)
    first, second = (
        push(bucket, store, Entry(store.present_manifest(node.artifact), {})) for node in (encode, denoise)
    )
    publish(store, encode, b"two", Digest("0" * 32))
    other = push(bucket, store, Entry(store.present_manifest(encode.artifact), {}))
    found = Listing(bucket).take()
    assert {*found.items} == {first, second, other}
    assert found.with_sources([second]) == {first, second}
    assert found.with_sources([other]) == {other}


def test_an_object_that_has_not_changed_is_read_once(store: Store):
    bucket, (_, entry) = MemoryBucket(), made(store)
    push(bucket, store, entry)
    listing = Listing(bucket)
    listing.take()
    before = bucket.now
    listing.take()
    assert bucket.now - before == 4  # payloads, uses, and both kinds of small objects


CHANGED = "it is not what was written: its checksum is another one"


@pytest.mark.parametrize(
    ("content", "reason"), [(b"x", "it has no checksum"), (b'{\n  "checksum": "6b98",\n  "a": 1}', CHANGED)]
)
def test_what_says_nothing_is_named(store: Store, content: bytes, reason: str):
    bucket, (_, entry) = MemoryBucket(), made(store)
    name = name_entry(*push(bucket, store, entry), is_whole=True)
    bucket.put(name, content)
    put = bucket.now
    assert Listing(bucket).take().unreadable == {name: Unreadable(reason, True, put)}


def test_what_another_version_says_is_not_damaged(store: Store, monkeypatch: pytest.MonkeyPatch):
    bucket, (_, entry) = MemoryBucket(), made(store)
    name = name_entry(*push(bucket, store, entry), is_whole=True)
    with monkeypatch.context() as later:
        later.setattr("stages.remote.entry._COPY", "place")
        bucket.put(name, replace(entry, copy="c" * 32).to_bytes())
    (found,) = Listing(bucket).take().unreadable.values()
    assert (found.reason, found.is_damaged) == ("it has other fields", False)


def test_what_is_gone_between_the_listing_and_the_reading_is_not_there(store: Store):
    bucket, (_, entry) = MemoryBucket(), made(store)
    push(bucket, store, entry)
    found: list[Inventory] = []
    reader = Actor(bucket, lambda seen: found.append(Listing(seen).take()))
    for _ in range(4):  # it has listed all
        reader.step()
    bucket.objects.clear()
    reader.finish()
    assert (found[0].items, found[0].unreadable) == ({}, {})


def test_the_time_is_the_buckets_and_nothing_of_the_question_is_left():
    bucket = MemoryBucket(now=5000.0)
    bucket.put("clocks/old", b"")
    bucket.now += 7200
    assert ask_time(bucket) == 5000.0 + 7202
    assert bucket.objects == {}
