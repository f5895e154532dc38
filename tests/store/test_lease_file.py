"""The file of a lease."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from stages.keys import ArtifactId, Key
from stages.machine.holder import Holder
from stages.store.lease_file import Lease, give_back, is_at, is_of, size_of, write_lease

MADE = ArtifactId("denoise", Key("a" * 32))
READ = ArtifactId("encode", Key("b" * 32))
LEASE = Lease(Holder.here(), MADE, (READ,), "8482/2", is_locked=True)
TEXT = LEASE.to_json(3)


def test_a_lease_is_read_back_equal_whatever_its_count():
    assert Lease.from_json(TEXT) == Lease.from_json(LEASE.to_json(10**9)) == LEASE


def test_another_count_is_another_text():
    assert LEASE.to_json(4) != TEXT


@pytest.mark.parametrize("length", range(0, len(TEXT) - 1, 20))
def test_a_lease_that_is_cut_says_nothing(length: int):
    assert Lease.from_json(TEXT[:length]) is None


@pytest.mark.parametrize("field", ["artifact", "reads", "group", "is_locked", "token"])
def test_a_lease_without_one_of_its_fields_says_nothing(field: str):
    fields = json.loads(TEXT)
    del fields[field]
    assert Lease.from_json(json.dumps(fields).encode()) is None


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000, "[]", "null", '"x"', "7"])
def test_what_is_no_lease_at_all_says_nothing(text: str):
    assert Lease.from_json(text.encode()) is None


@pytest.mark.parametrize("artifact", [None, [], "x", {}, {"stage": [], "key": []}, {"stage": "..", "key": "a" * 32}])
@pytest.mark.parametrize("field", ["artifact", "reads"])
def test_a_lease_that_names_no_artifact_says_nothing(field: str, artifact: object):
    value = [artifact] if field == "reads" else artifact
    assert Lease.from_json(json.dumps(json.loads(TEXT) | {field: value}).encode()) is None


def test_a_fifo_in_the_place_of_a_lease_is_an_error_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "lease")
    with pytest.raises(OSError, match="is a FIFO, not a file"):
        is_of(tmp_path / "lease", LEASE)


def test_the_size_of_a_file_that_is_not_there_is_0(tmp_path: Path):
    path = tmp_path / "lease"
    assert size_of(path) == 0
    path.touch()
    assert size_of(path) == 0
    path.write_bytes(TEXT)
    assert size_of(path) == len(TEXT)


@pytest.mark.parametrize("may_delete", [True, False])
def test_what_is_given_back_is_gone_or_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_delete: bool):
    path = tmp_path / "lease"
    path.write_bytes(TEXT)
    if not may_delete:
        monkeypatch.setattr(Path, "unlink", refuse)
    with path.open("r+b") as file:
        give_back(path, file.fileno())
    assert size_of(path) == 0
    assert path.exists() is not may_delete


def test_what_can_neither_be_deleted_nor_emptied_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "lease"
    path.write_bytes(TEXT)
    monkeypatch.setattr(Path, "unlink", refuse)
    with path.open("rb") as file, pytest.raises(PermissionError):
        give_back(path, file.fileno())


def refuse(path: Path, **_options: object) -> None:
    raise PermissionError(1, "Operation not permitted", str(path))


def test_a_shorter_text_leaves_nothing_of_a_longer_one(tmp_path: Path):
    path = tmp_path / "lease"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    write_lease(descriptor, b"x" * 10_000)
    write_lease(descriptor, TEXT)
    os.close(descriptor)
    assert path.read_bytes() == TEXT


def test_a_file_is_that_of_the_holder_that_it_names(tmp_path: Path):
    path = tmp_path / "lease"
    assert not is_of(path, LEASE)
    path.write_bytes(LEASE.to_json(9))
    assert is_of(path, LEASE)
    assert not is_of(path, replace(LEASE, holder=Holder.here()))


def test_an_open_file_that_was_deleted_is_no_longer_under_its_name(tmp_path: Path):
    path = tmp_path / "lease"
    path.touch()
    with path.open() as file:
        assert is_at(path, file.fileno())
        path.unlink()
        assert not is_at(path, file.fileno())
        path.touch()
        assert not is_at(path, file.fileno())
