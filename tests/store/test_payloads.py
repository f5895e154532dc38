"""Payloads: read only when they are not the files that were published, and then once."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.errors import UnreadableError
from stages.keys import Digest, Node, digest_bytes
from stages.store import payloads
from stages.store.artifacts import Store
from stages.store.manifest import NOTE, RUN
from stages.store.payloads import Note, is_still, keep_note, note_published, read_note, stamp_of
from stages.store.verdict import Reason, Verdict
from tests.builders import CODE, acting_as_nobody, build_node, no_more_files, publish

NODE = build_node(prompt="x")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with an artifact."""
    store = Store(tmp_path / "artifacts")
    publish(store, NODE)
    return store


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read whole."""
    paths: list[Path] = []
    digest_file = payloads.digest_file

    def watch(path: Path) -> Digest:
        paths.append(path)
        return digest_file(path)

    monkeypatch.setattr(payloads, "digest_file", watch)
    return paths


def later() -> int:
    """The time in three seconds, when files of the present are old enough."""
    return time.time_ns() + 3_000_000_000


def judge(store: Store, node: Node = NODE, clock: Callable[[], int] = time.time_ns) -> Verdict:
    """As another process would."""
    return Store(store.root, clock=clock).verdict(node, CODE)


def damage(path: Path) -> bytes:
    """Change a bit and keep the size and the modification time."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return bytes(content)


def test_what_was_just_published_is_not_read(store: Store, read: list[Path]):
    assert judge(store).is_fresh
    assert read == []


def test_one_that_was_touched_is_read_once(store: Store, read: list[Path]):
    path = store.payload(NODE.artifact)
    path.touch()
    assert [judge(store, clock=later).state for _ in range(3)] == ["fresh"] * 3
    assert read == [path]


@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2])
def test_a_store_that_was_copied_is_read_once(store: Store, read: list[Path], tmp_path: Path, copy: object):
    shutil.copytree(store.root, tmp_path / "copy", copy_function=copy)
    there = Store(tmp_path / "copy")
    assert [judge(there, clock=later).state for _ in range(3)] == ["fresh"] * 3
    assert read == [there.payload(NODE.artifact)]
    assert judge(store).is_fresh
    assert len(read) == 1


def test_before_a_large_file_is_read_it_is_named(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(payloads, "_LARGE_BYTES", 7)
    path, named = store.payload(NODE.artifact), []
    watched = Store(store.root, lambda *file: named.append(file))
    assert watched.verdict(NODE, CODE).is_fresh
    assert named == []
    path.touch()
    assert watched.verdict(NODE, CODE).is_fresh
    assert named == [(path, 7)]


def test_a_change_that_keeps_size_and_modification_time_is_found(store: Store):
    changed = damage(store.payload(NODE.artifact))
    digests = digest_bytes(b"payload"), digest_bytes(changed)
    assert judge(store) == Verdict("corrupt", (Reason("digest", *digests),))


def test_another_file_in_its_place_is_found(store: Store):
    path = store.payload(NODE.artifact)
    status = path.stat()
    path.unlink()
    path.write_bytes(b"PAYLOAD")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert judge(store).state == "corrupt"


def test_a_store_that_has_seen_a_payload_sees_that_it_changes(store: Store):
    assert store.verdict(NODE, CODE).is_fresh
    damage(store.payload(NODE.artifact))
    assert store.verdict(NODE, CODE).state == "corrupt"


def test_a_damaged_payload_is_read_once_by_one_process(store: Store, read: list[Path]):
    damage(store.payload(NODE.artifact))
    here = Store(store.root, clock=later)
    assert [here.verdict(NODE, CODE).state for _ in range(3)] == ["corrupt"] * 3
    assert len(read) == 1


def test_one_that_is_made_again_is_fresh(store: Store):
    damage(store.payload(NODE.artifact))
    publish(store, NODE)
    assert judge(store).is_fresh


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"note", b"1 2 3 4 5 6 7\n", b"9" * 5000])
def test_without_a_whole_note_the_payload_is_read(store: Store, read: list[Path], content: bytes | None):
    note = store.folder(NODE.artifact) / NOTE
    note.unlink()
    if content is not None:
        note.write_bytes(content)
    assert judge(store).is_fresh
    assert read == [store.payload(NODE.artifact)]


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop"])
def test_whatever_is_in_the_place_of_the_note_stops_nothing(store: Store, kind: str):
    note = store.folder(NODE.artifact) / NOTE
    note.unlink()
    {"folder": note.mkdir, "fifo": lambda: os.mkfifo(note), "loop": lambda: note.symlink_to(note)}[kind]()
    assert judge(store).is_fresh


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop", "nothing"])
def test_whatever_is_in_the_place_of_a_payload_is_corrupt(store: Store, kind: str):
    path = store.payload(NODE.artifact)
    path.unlink()
    make = {"folder": path.mkdir, "fifo": lambda: os.mkfifo(path), "loop": lambda: path.symlink_to(path)}
    make.get(kind, lambda: None)()
    assert judge(store).state == "corrupt"


def test_an_empty_payload_that_became_a_fifo_is_corrupt(store: Store):
    publish(store, NODE, b"")
    path = store.payload(NODE.artifact)
    path.unlink()
    os.mkfifo(path)
    assert judge(store) == Verdict("corrupt", (Reason("payload", 0, None),))


def test_a_note_is_of_its_payload_alone(store: Store):
    """The note of another artifact, whose payload has the same stamp by a link, vouches for nothing."""
    other = build_node(prompt="other")
    publish(store, other, b"PAYLOAD")
    path = store.payload(other.artifact)
    path.unlink()
    path.hardlink_to(store.payload(NODE.artifact))
    keep_note(store.folder(NODE.artifact), digest_bytes(b"payload"), stamp_of(path) or (0, 0, 0, 0), later)
    assert judge(store).is_fresh
    shutil.copy(store.folder(NODE.artifact) / NOTE, store.folder(other.artifact) / NOTE)
    assert judge(store, other).state == "corrupt"


def test_a_note_says_what_run_json_was(store: Store):
    folder = store.folder(NODE.artifact)
    note = read_note(folder)
    assert note is not None
    assert note.run == digest_bytes((folder / RUN).read_bytes())
    assert note.stamp == stamp_of(store.payload(NODE.artifact))


def test_what_is_read_later_leaves_what_was_noted_of_run_json(store: Store):
    folder, path = store.folder(NODE.artifact), store.payload(NODE.artifact)
    before = read_note(folder)
    path.touch()
    (folder / RUN).write_text("damaged")
    assert judge(store, clock=later).is_fresh
    after = read_note(folder)
    assert before is not None
    assert after is not None
    assert (after.run, after.stamp) == (before.run, stamp_of(path))


def test_of_a_young_file_nothing_is_noted(store: Store):
    path = store.payload(NODE.artifact)
    path.touch()
    before = (store.folder(NODE.artifact) / NOTE).read_bytes()
    keep_note(store.folder(NODE.artifact), digest_bytes(b"payload"), stamp_of(path) or (0, 0, 0, 0))
    assert (store.folder(NODE.artifact) / NOTE).read_bytes() == before


def test_a_note_that_cannot_be_written_is_no_error(store: Store, tmp_path: Path):
    (tmp_path / "file").write_text("")
    keep_note(tmp_path / "file", digest_bytes(b""), (0, 0, 0, 0))
    manifest = store.present_manifest(NODE.artifact)
    note_published(tmp_path / "file", manifest)
    note_published(tmp_path, manifest)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["file"]


NOTED = Note(Digest("a" * 32), (7, 1, 2, 3), Digest("b" * 32))


@pytest.mark.parametrize("note", [NOTED, Note(NOTED.digest, NOTED.stamp, Digest(""))])
def test_a_note_is_read_back_equal(note: Note):
    assert Note.from_text(note.to_text()) == note


def test_a_note_with_any_bit_changed_or_cut_is_refused():
    content = NOTED.to_text().encode()
    changed = [content[:length] for length in range(len(content))]
    for place in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        changed.append(bytes(flipped))
    for each in changed:
        with pytest.raises(ValueError, match=r".*"):
            Note.from_text(each.decode())


def test_a_file_that_is_gone_counts_as_what_its_manifest_says(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"one")
    assert is_still(tmp_path / "file", digest_bytes(b"one"))
    assert not is_still(tmp_path / "file", digest_bytes(b"two"))
    assert is_still(tmp_path / "gone", digest_bytes(b"two"))
    assert is_still(tmp_path, digest_bytes(b"two")) is False


def test_of_a_file_that_may_not_be_read_nobody_knows_what_it_is(store: Store):
    path = store.payload(NODE.artifact)
    path.chmod(0)
    with acting_as_nobody(path):
        assert is_still(path, digest_bytes(b"payload")) is None


def test_a_payload_that_may_not_be_read_is_no_damaged_one(store: Store):
    path = store.payload(NODE.artifact)
    path.touch()
    path.chmod(0)
    with acting_as_nobody(path), pytest.raises(UnreadableError) as refused:
        judge(store)
    assert str(refused.value) == f"{path}: cannot be read (Permission denied). Fix that and run it again."
    path.chmod(0o644)
    assert judge(store).is_fresh


def test_a_payload_in_a_folder_that_may_not_be_searched_is_no_missing_one(store: Store):
    folder = store.folder(NODE.artifact)
    folder.parent.chmod(0)
    with acting_as_nobody(folder.parent), pytest.raises(UnreadableError) as refused:
        judge(store)
    assert str(refused.value) == (
        f"{folder / 'manifest.json'}: cannot be read (Permission denied). Fix that and run it again."
    )
    folder.parent.chmod(0o755)


def test_what_cannot_be_opened_for_want_of_descriptors_is_no_damaged_payload(store: Store):
    store.payload(NODE.artifact).touch()
    with no_more_files(), pytest.raises(UnreadableError, match=r"cannot be read \(Too many open files\)"):
        judge(store)
    assert judge(store).is_fresh
