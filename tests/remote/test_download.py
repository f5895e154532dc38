"""Payloads from a remote store: in parts, and gone on with after a break."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stages.errors import RemoteError
from stages.keys import digest_bytes
from stages.machine.file_lock import try_lock
from stages.remote.download import MissingPartError, clear, download, incoming
from stages.remote.entry import Entry
from stages.remote.layout import name_parts
from stages.remote.object_storage import ObjectStorage
from stages.remote.upload import upload
from stages.store.artifacts import Store
from tests.remote.shared import catalog_of, ignore, made, open_folder

PAYLOAD = bytes(range(100))
PART_BYTES = 16


class Breaking(ObjectStorage):
    """A bucket that gives only so many objects."""

    num_left = 1000

    def read(self, name: str, take: Callable[[memoryview], None]) -> bool:
        if not self.num_left:
            raise RemoteError("file:///: it cannot be reached, or broke off.")
        self.num_left -= 1
        return super().read(name, take)


@pytest.fixture
def bucket(tmp_path: Path) -> Breaking:
    opened = open_folder(tmp_path / "bucket")
    return Breaking(opened._address, opened._store, opened._store)


@pytest.fixture
def entry(tmp_path: Path, bucket: Breaking) -> Entry:
    store = Store(tmp_path / "artifacts")
    node, entry = made(store, PAYLOAD)
    entry = replace(entry, part_bytes=PART_BYTES)
    upload(bucket, catalog_of(tmp_path / "bucket"), store.folder(node.artifact), entry, ignore, is_whole=True)
    return entry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


def content(bucket: Breaking, entry: Entry, folder: Path, observe: Callable[[int], None] = ignore) -> bytes:
    """The bytes that a download has brought, of which it says the digest."""
    file, digest = download(bucket, entry, folder, observe)
    assert digest == digest_bytes(file.read_bytes())
    return file.read_bytes()


def test_all_parts_make_the_payload(bucket: Breaking, entry: Entry, folder: Path):
    seen: list[int] = []
    assert content(bucket, entry, folder, seen.append) == PAYLOAD
    assert (seen[0], sum(seen)) == (0, len(PAYLOAD))


def test_a_download_that_broke_goes_on_with_the_parts_that_are_missing(
    bucket: Breaking, entry: Entry, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("stages.remote.in_parallel.map_in_parallel.__defaults__", (1,))
    bucket.num_left = 3
    with pytest.raises(RemoteError):
        download(bucket, entry, folder, ignore)
    bucket.num_left = 1000
    seen: list[int] = []
    assert content(bucket, entry, folder, seen.append) == PAYLOAD
    assert seen[0] == 3 * PART_BYTES
    assert 1000 - bucket.num_left == 4  # of seven parts


def test_what_says_which_parts_are_there_may_be_damaged(bucket: Breaking, entry: Entry, folder: Path):
    download(bucket, entry, folder, ignore)
    (folder / "payload").write_bytes(bytes(len(PAYLOAD)))
    for noted in ("", "x", f"{PART_BYTES}\n0\nx\n", f"{PART_BYTES}\n-1\n7\n"):
        (folder / "parts").write_text(noted)
        seen: list[int] = []
        assert content(bucket, entry, folder, seen.append) == PAYLOAD
        assert seen[0] == 0


def test_parts_of_another_size_count_for_nothing(bucket: Breaking, entry: Entry, folder: Path):
    twin = replace(entry, part_bytes=2 * PART_BYTES)
    for index, name in enumerate(name_parts(twin.manifest, twin.part_bytes)):
        bucket.put(name, PAYLOAD[index * twin.part_bytes :][: twin.part_bytes])
    (folder / "payload").write_bytes(PAYLOAD[: 3 * PART_BYTES].ljust(len(PAYLOAD), b"\0"))
    (folder / "parts").write_text(f"{PART_BYTES}\n0\n1\n2\n")
    seen: list[int] = []
    assert content(bucket, twin, folder, seen.append) == PAYLOAD
    assert (seen[0], min(seen)) == (0, 0)


def test_what_is_not_in_the_file_although_it_was_noted_comes_once_more(bucket: Breaking, entry: Entry, folder: Path):
    (folder / "payload").write_bytes(bytes(len(PAYLOAD)))  # as a loss of power leaves it
    (folder / "parts").write_text(f"{PART_BYTES}\n0\n3\n")
    seen: list[int] = []
    assert content(bucket, entry, folder, seen.append) == PAYLOAD
    assert sum(seen) == len(PAYLOAD)


def test_what_is_damaged_there_is_fetched_once(bucket: Breaking, entry: Entry, folder: Path):
    bucket.put(name_parts(entry.manifest, PART_BYTES)[2], bytes(PART_BYTES))
    _, digest = download(bucket, entry, folder, ignore)
    assert digest != entry.manifest.digest
    assert 1000 - bucket.num_left == 7


def test_parts_without_a_file_count_for_nothing(bucket: Breaking, entry: Entry, folder: Path):
    download(bucket, entry, folder, ignore)[0].unlink()
    assert content(bucket, entry, folder) == PAYLOAD


def test_a_part_that_is_not_there_or_cut_is_an_error(bucket: Breaking, entry: Entry, folder: Path):
    name = name_parts(entry.manifest, PART_BYTES)[2]
    bucket.put(name, b"short")
    with pytest.raises(MissingPartError) as error:
        download(bucket, entry, folder, ignore)
    assert str(error.value) == f"{name}: has 5 bytes."
    bucket.delete([name])
    with pytest.raises(MissingPartError) as error:
        download(bucket, entry, folder, ignore)
    assert str(error.value) == f"{name}: is not there."


def test_one_process_at_a_time_gathers_a_payload_in_the_store_and_another_elsewhere(tmp_path: Path, entry: Entry):
    with (
        incoming(tmp_path, entry, tmp_path / "draft") as first,
        incoming(tmp_path, entry, tmp_path / "draft") as second,
    ):
        assert first == tmp_path / ".remote" / entry.manifest.digest
        assert second == tmp_path / "draft"
    with incoming(tmp_path, entry, tmp_path / "draft") as third:
        assert third == first


def test_whoever_gathers_while_others_clear_has_a_folder_to_himself(tmp_path: Path, entry: Entry):
    faults: list[BaseException] = []
    barrier = threading.Barrier(4)

    def gather() -> None:
        barrier.wait(60)
        for _ in range(200):
            with incoming(tmp_path, entry, tmp_path) as found:
                if found != tmp_path:
                    (found / "payload").open("x").close()
                    (found / "payload").unlink()
                    clear(found)

    def note() -> None:
        try:
            gather()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []


def test_a_lock_that_is_deleted_before_it_is_taken_is_none(
    tmp_path: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch
):
    moments = iter((clear, ignore))

    def try_late(descriptor: int) -> bool | None:
        next(moments)(tmp_path / ".remote" / entry.manifest.digest)  # another process is done just now
        return try_lock(descriptor)

    monkeypatch.setattr("stages.remote.download.try_lock", try_late)
    with incoming(tmp_path, entry, tmp_path) as folder:
        assert (folder / "lock").is_file()


def test_what_was_gathered_can_be_deleted(bucket: Breaking, entry: Entry, folder: Path):
    download(bucket, entry, folder, ignore)
    clear(folder)
    assert not folder.exists()
    clear(folder)
