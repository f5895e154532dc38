"""Verification: everything that is damaged is found and named, and nothing else."""

import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.keys import ArtifactId, Node, digest_bytes
from stages.store.artifacts import Store
from stages.store.damage import Damage, mark
from stages.store.manifest import MANIFEST, NOTE, RUN
from stages.store.verification import Unread, find_artifacts, verify
from tests.builders import CODE, acting_as_nobody, build_chain, build_node, collect, no_more_files, publish
from tests.project import ALL

NUM_FLIPS = 1_000
ENCODE, DENOISE = build_chain(prompt="x")
ARTIFACTS = [ENCODE.artifact, DENOISE.artifact]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two artifacts."""
    store = Store(tmp_path / "artifacts")
    publish(store, ENCODE)
    publish(store, DENOISE, b"latents")
    return store


def flip(path: Path, place: int = 0, change: int = 1) -> None:
    """Change a byte of a file, in place."""
    with path.open("r+b") as file:
        file.seek(place)
        (before,) = file.read(1)
        file.seek(place)
        file.write(bytes([before ^ change]))


def find_damage(store: Store) -> list[Damage]:
    """What another process finds in the whole store."""
    return list(verify(Store(store.root), find_artifacts(store.root)).damaged)


@pytest.mark.processes
def test_a_thousand_changed_bytes_of_all_files_of_all_stages_are_all_found(built: Path, tmp_path: Path):
    root = shutil.copytree(built / "artifacts", tmp_path / "artifacts", symlinks=True)
    store, draw = Store(root), random.Random(0)  # noqa: S311 (nothing secret)
    files = sorted(path for path in root.glob("*/*/*") if path.is_file() and path.parent.parent.name in ALL)
    assert {path.parent.parent.name for path in files} == {*ALL}
    assert len(files) == 4 * len(ALL)  # payload, manifest, run.json, note
    assert find_damage(store) == []
    num_found = 0
    for index in range(NUM_FLIPS):
        path = files[index % len(files)]
        place, change = draw.randrange(path.stat().st_size), draw.randrange(1, 256)
        flip(path, place, change)
        (damage,) = find_damage(store)
        assert damage.artifact == ArtifactId(path.parent.parent.name, path.parent.name)
        assert [fault.name for fault in damage.faults] == [path.name]
        assert str(path) in damage.faults[0].message
        num_found += 1
        flip(path, place, change)
    assert num_found == NUM_FLIPS
    assert find_damage(store) == []


def test_what_is_whole_is_said_to_be(store: Store):
    found = verify(store, [*ARTIFACTS, build_node(prompt="other").artifact])
    assert (found.whole, found.damaged) == (tuple(ARTIFACTS), ())
    assert found.missing == (build_node(prompt="other").artifact,)
    assert found.size_bytes == 14


def test_a_change_that_no_stamp_shows_is_found(store: Store):
    """As on a disk that forgets: the bytes are others, and size, times and inode are those of the note."""
    path = store.payload(DENOISE.artifact)
    flip(path)
    note = store.folder(DENOISE.artifact) / NOTE
    status = path.stat()
    fields = note.read_text().split()
    fields[2:6] = [str(each) for each in (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)]
    fields[0] = digest_bytes(" ".join(fields[1:]).encode())
    note.write_text(" ".join(fields) + "\n")
    assert Store(store.root).verdict(DENOISE, CODE).is_fresh
    (damage,) = find_damage(store)
    changed, whole = digest_bytes(path.read_bytes()), digest_bytes(b"latents")
    assert [fault.message for fault in damage.faults] == [f"{path}: xxh3 is {changed}, the manifest says {whole}"]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "is not there"),
        (lambda path: os.truncate(path, 3), "has 3 bytes, the manifest says 7"),
        (lambda path: path.write_bytes(b"longer than it was"), "has 18 bytes, the manifest says 7"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is not there"),
        (lambda path: (path.unlink(), path.mkdir()), "is not there"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "is not there"),
    ],
)
def test_whatever_is_in_the_place_of_a_payload_is_named(store: Store, harm: object, message: str):
    path = store.payload(DENOISE.artifact)
    harm(path)  # type: ignore[operator]
    (damage,) = find_damage(store)
    assert damage.is_lost
    assert [fault.message for fault in damage.faults] == [f"{path}: {message}"]


@pytest.mark.parametrize("kind", ["gone", "fifo", "folder"])
def test_without_a_run_json_everything_works(store: Store, kind: str):
    path = store.folder(DENOISE.artifact) / RUN
    path.unlink()
    {"gone": lambda: None, "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    assert find_damage(store) == []
    assert Store(store.root).verdict(DENOISE, CODE).is_fresh
    assert publish(store, DENOISE, b"latents").is_same_as_before is True


def test_of_artifacts_without_notes_run_json_must_be_json(store: Store):
    for artifact in ARTIFACTS:
        (store.folder(artifact) / NOTE).unlink()
    assert find_damage(store) == []
    (store.folder(DENOISE.artifact) / RUN).write_text("{")
    assert [damage.artifact for damage in find_damage(store)] == [DENOISE.artifact]


def test_what_is_replaced_while_it_is_read_is_looked_at_again(store: Store):
    flip(store.payload(DENOISE.artifact))
    has_published = threading.Event()

    def publish_meanwhile(done_bytes: int, _total_bytes: int) -> None:
        if done_bytes and not has_published.is_set():
            has_published.set()
            publish(Store(store.root), DENOISE, b"latents")

    assert verify(store, [DENOISE.artifact], publish_meanwhile).damaged == ()


def test_a_copied_store_is_not_read_again_after_it_was_verified(store: Store, tmp_path: Path):
    there = Store(shutil.copytree(store.root, tmp_path / "copy"))
    notes = {artifact: (there.folder(artifact) / NOTE).read_bytes() for artifact in ARTIFACTS}
    for artifact in ARTIFACTS:
        assert notes[artifact] == (store.folder(artifact) / NOTE).read_bytes()
    assert verify(there, ARTIFACTS, clock=lambda: time.time_ns() + 3_000_000_000).damaged == ()  # no longer young
    for artifact in ARTIFACTS:
        status = there.payload(artifact).stat()
        assert f" {status.st_ctime_ns} {status.st_ino} " in (there.folder(artifact) / NOTE).read_text()


def test_progress_ends_with_all_that_was_read(store: Store):
    seen: list[tuple[int, int]] = []
    verify(store, ARTIFACTS, lambda done_bytes, total_bytes: seen.append((done_bytes, total_bytes)))
    assert (seen[0], seen[-1]) == ((0, 14), (14, 14))
    assert seen == sorted(seen)


def test_progress_is_shown_every_sixteen_mebibytes(store: Store):
    big = build_node(prompt="big")
    publish(store, big, bytes(40 << 20))
    seen: list[int] = []
    verify(store, [big.artifact], lambda done_bytes, _total_bytes: seen.append(done_bytes >> 20))
    assert seen == [0, 16, 32, 40]


def collect_first(store: Store, node: Node) -> Callable[[int, int], None]:
    """An observer during whose first call `doit gc` deletes a payload."""
    is_collected: list[bool] = []

    def observe(_done_bytes: int, _total_bytes: int) -> None:
        if not is_collected:
            is_collected.append(True)
            collect(Store(store.root), node)

    return observe


def test_what_is_collected_before_it_is_read_is_not_damaged(store: Store):
    found = verify(store, ARTIFACTS, collect_first(store, ENCODE))
    assert (found.damaged, found.collected, found.whole) == ((), (ENCODE.artifact,), (DENOISE.artifact,))
    assert mark(store, found.damaged) == {}
    states = [Store(store.root).verdict(node, CODE).state for node in (ENCODE, DENOISE)]
    assert states == ["collected", "fresh"]


@pytest.mark.parametrize("name", ["payload", MANIFEST, RUN])
def test_what_may_not_be_read_is_no_damage(store: Store, name: str):
    path = store.payload(DENOISE.artifact) if name == "payload" else store.folder(DENOISE.artifact) / name
    path.chmod(0)
    with acting_as_nobody(path):
        found = verify(Store(store.root), ARTIFACTS)
    assert (found.whole, found.damaged) == ((ENCODE.artifact,), ())
    message = f"{path}: cannot be read (Permission denied). Fix that and run it again."
    assert found.unread == (Unread(DENOISE.artifact, message),)
    path.chmod(0o644)
    assert verify(Store(store.root), ARTIFACTS).whole == tuple(ARTIFACTS)


def test_for_want_of_descriptors_nothing_is_damaged(store: Store):
    with no_more_files():
        found = verify(Store(store.root), ARTIFACTS)
    assert (found.damaged, [each.artifact for each in found.unread]) == ((), ARTIFACTS)


def test_a_damaged_payload_is_named_though_its_run_json_may_not_be_read(store: Store):
    flip(store.payload(DENOISE.artifact))
    path = store.folder(DENOISE.artifact) / RUN
    path.chmod(0)
    with acting_as_nobody(path):
        (damage,) = find_damage(store)
    assert [fault.name for fault in damage.faults] == [store.payload(DENOISE.artifact).name]


def test_an_empty_note_which_a_power_cut_can_leave_is_none(store: Store):
    (store.folder(DENOISE.artifact) / NOTE).write_bytes(b"")
    assert verify(Store(store.root), ARTIFACTS).whole == tuple(ARTIFACTS)


def test_a_stage_that_may_not_be_read_is_an_error(store: Store):
    stage = store.root / "denoise"
    stage.chmod(0)
    with acting_as_nobody(stage), pytest.raises(PermissionError) as refused:
        find_artifacts(store.root)
    assert refused.value.filename == str(stage)
    stage.chmod(0o755)


def test_whoever_interrupts_it_does_not_wait(store: Store):
    def interrupt(done_bytes: int, _total_bytes: int) -> None:
        if done_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(store, ARTIFACTS, interrupt)


def test_all_artifacts_of_a_store_are_found_and_nothing_else(store: Store):
    (store.root / "logs").mkdir()
    (store.root / "logs" / "decode.log").write_text("")
    (store.root / "videos").mkdir()
    (store.root / "videos" / "demo.mp4").symlink_to("nowhere")
    (store.root / "file").write_text("")
    assert find_artifacts(store.root) == sorted(ARTIFACTS, key=lambda each: each.stage)
    assert find_artifacts(store.root / "none") == []
