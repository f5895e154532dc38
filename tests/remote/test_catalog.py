"""What a remote store has: one listing, and what each object says."""

from pathlib import Path

import pytest

from stages.remote.catalog import Catalog, Found
from stages.remote.entry import Entry
from stages.remote.layout import name_entry, variant_of
from stages.remote.object_storage import ObjectStorage
from stages.store.artifacts import Store
from tests.remote.shared import made, open_folder


@pytest.fixture
def bucket(tmp_path: Path) -> ObjectStorage:
    return open_folder(tmp_path / "bucket")


def put(bucket: ObjectStorage, entry: Entry, *, is_whole: bool = True) -> str:
    name = name_entry(entry.manifest.node.artifact, variant_of(entry.manifest), is_whole=is_whole)
    bucket.put(name, entry.to_bytes())
    return name


def find(catalog: Catalog, entry: Entry) -> Found | None:
    return catalog.find(entry.manifest.node.artifact, variant_of(entry.manifest))


def test_an_artifact_that_is_there_is_found(bucket: ObjectStorage, tmp_path: Path):
    _, entry = made(Store(tmp_path))
    name = put(bucket, entry)
    assert find(Catalog(bucket), entry) == Found(name, entry, is_whole=True)


def test_one_without_its_payload_is_found_as_such_unless_it_is_there_whole(bucket: ObjectStorage, tmp_path: Path):
    _, entry = made(Store(tmp_path))
    name = put(bucket, entry, is_whole=False)
    assert find(Catalog(bucket), entry) == Found(name, entry, is_whole=False)
    put(bucket, entry)
    found = find(Catalog(bucket), entry)
    assert found is not None
    assert found.is_whole


def test_what_is_prepared_is_read_once(bucket: ObjectStorage, tmp_path: Path):
    entries = [made(Store(tmp_path), prompt=str(number))[1] for number in range(20)]
    for entry in entries:
        put(bucket, entry)
    catalog = Catalog(bucket)
    catalog.prepare((entry.manifest.node.artifact, variant_of(entry.manifest)) for entry in entries)
    bucket.delete([each.name for each in bucket.list("artifacts")])
    assert all(find(catalog, entry) for entry in entries)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"null"])
def test_an_object_that_says_nothing_is_none_and_is_remembered(bucket: ObjectStorage, tmp_path: Path, content: bytes):
    _, entry = made(Store(tmp_path))
    name = put(bucket, entry)
    bucket.put(name, content)
    catalog = Catalog(bucket)
    assert find(catalog, entry) is None
    assert list(catalog.damaged) == [name]


def test_an_object_that_speaks_of_another_artifact_is_none(bucket: ObjectStorage, tmp_path: Path):
    (_, entry), (_, other) = made(Store(tmp_path)), made(Store(tmp_path), prompt="y")
    name = put(bucket, entry)
    bucket.put(name, other.to_bytes())
    catalog = Catalog(bucket)
    assert find(catalog, entry) is None
    assert catalog.damaged == {name: "it is that of another artifact"}


def test_what_was_added_or_dropped_meanwhile_counts(bucket: ObjectStorage, tmp_path: Path):
    _, entry = made(Store(tmp_path))
    catalog = Catalog(bucket)
    assert find(catalog, entry) is None
    name = name_entry(entry.manifest.node.artifact, variant_of(entry.manifest), is_whole=True)
    catalog.add(name, entry, is_whole=True)
    assert find(catalog, entry) is not None
    catalog.drop(name)
    assert find(catalog, entry) is None


def test_other_objects_in_the_bucket_do_not_matter(bucket: ObjectStorage, tmp_path: Path):
    _, entry = made(Store(tmp_path))
    put(bucket, entry)
    for name in ("artifacts/notes.txt", "artifacts/encode/x.json", "readme.md"):
        bucket.put(name, b"x")
    assert len(Catalog(bucket).names()) == 1


def test_a_damaged_object_is_a_warning_once(bucket: ObjectStorage, tmp_path: Path):
    _, entry = made(Store(tmp_path))
    name = put(bucket, entry)
    bucket.put(name, b"x")
    warnings: list[str] = []
    catalog = Catalog(bucket, warnings.append)
    find(catalog, entry)
    catalog.read(name)
    assert warnings == [
        f"{name}: is damaged (it has no checksum). It counts for nothing, and is put again by who makes that."
    ]
