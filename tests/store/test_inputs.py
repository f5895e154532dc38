"""What a node is made from: compared with its manifest, and kept while it is read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.errors import StoreError, UnreadableError
from stages.keys import ArtifactId, Digest, Node, digest_bytes
from stages.machine.file_lock import try_lock
from stages.store import inputs
from stages.store.artifacts import Store
from stages.store.inputs import check_inputs, hold_inputs
from stages.store.manifest import Manifest
from stages.store.verdict import Reason, Verdict
from tests.builders import CODE, acting_as_nobody, build_chain, build_node, collect, no_more_files, publish

ENCODE, DENOISE = build_chain()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "artifacts")
    publish(store, ENCODE, b"one")
    return store


def hold(store: Store, node: Node) -> None:
    with hold_inputs(store, node):
        pass


CHANGES: dict[str, Callable[[Store], object]] = {
    "forgotten": lambda store: store.forget(ENCODE.artifact),
    "removed": lambda store: store.remove(ENCODE.artifact),
    "made again": lambda store: publish(store, ENCODE, b"two"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_held_is_read_whatever_becomes_of_it(store: Store, change: Callable[[Store], object]):
    with hold_inputs(store, DENOISE) as held:
        change(store)
        (one,) = held.values()
        assert (one.path.read_bytes(), one.path.read_bytes()) == (b"one", b"one")
        assert one.digest == digest_bytes(b"one")


def test_what_is_made_from_nothing_holds_nothing(store: Store):
    with hold_inputs(store, ENCODE) as held:
        assert held == {}


class Replacing(Store):
    """A store in which another run makes an artifact again at the worst moment: it is open, and not yet checked."""

    num_looks = 0
    first_bad = last_bad = 2  # the first look is to open it, and two more are the check

    def present_manifest(self, artifact: ArtifactId) -> Manifest:
        self.num_looks += 1
        if self.first_bad <= self.num_looks <= self.last_bad:
            publish(Store(self.root), ENCODE, b"two")
        return super().present_manifest(artifact)


def test_what_is_held_is_what_was_checked_though_it_was_replaced_in_between(store: Store):
    replacing = Replacing(store.root)
    with hold_inputs(replacing, DENOISE) as held:
        (two,) = held.values()
        assert (two.path.read_bytes(), two.digest) == (b"two", digest_bytes(b"two"))
    assert replacing.num_looks == 6


def test_a_payload_that_is_another_file_each_time_is_one_message(store: Store):
    replacing = Replacing(store.root)
    replacing.last_bad = 100
    with pytest.raises(StoreError) as refused, hold_inputs(replacing, DENOISE):
        pass
    assert str(refused.value) == (
        f"{store.payload(ENCODE.artifact)}: was another file 3 times while it was read. Run `doit` again when nobody "
        "else makes it. If nobody does, its file system gives one file several numbers: set `artifacts` in "
        "params/machine.toml to a folder on another one."
    )


@pytest.mark.parametrize("ask", [hold, check_inputs], ids=["hold", "check"])
def test_what_may_not_be_read_is_named_and_not_forgotten(store: Store, ask: Callable[[Store, Node], object]):
    path = store.payload(ENCODE.artifact)
    path.chmod(0)
    with acting_as_nobody(path), pytest.raises(UnreadableError) as refused:
        ask(store, DENOISE)
    assert str(refused.value) == f"{path}: cannot be read (Permission denied). Fix that and run it again."
    path.chmod(0o644)
    assert store.verdict(ENCODE, CODE).is_fresh


@pytest.mark.parametrize("ask", [hold, check_inputs], ids=["hold", "check"])
def test_for_want_of_descriptors_nothing_is_forgotten(store: Store, ask: Callable[[Store, Node], object]):
    store.present_manifest(ENCODE.artifact)
    with no_more_files(), pytest.raises(UnreadableError, match=r"cannot be read \(Too many open files\)"):
        ask(store, DENOISE)
    assert store.verdict(ENCODE, CODE).is_fresh


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "is damaged (Is a directory)"),
        (os.mkfifo, "is damaged (is a FIFO, not a file)"),
        (lambda path: path.symlink_to(path), "is damaged (Too many levels of symbolic links)"),
        (lambda path: path.symlink_to("nowhere"), "is not there"),
    ],
    ids=["folder", "fifo", "loop", "dangling"],
)
def test_what_is_no_file_is_made_again(store: Store, make: Callable[[Path], None], message: str):
    path = store.payload(ENCODE.artifact)
    path.unlink()
    make(path)
    with pytest.raises(StoreError) as refused, hold_inputs(store, DENOISE):
        pass
    assert str(refused.value) == f"{path}: {message}. Run `doit` again: it is made anew."
    assert store.verdict(ENCODE, CODE) == Verdict("forgotten")


def test_nobody_waits_for_the_lock_while_a_damaged_payload_is_read(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.payload(ENCODE.artifact).write_bytes(b"eno")
    digest_file, was_free = inputs.digest_file, []

    def watch(path: Path) -> Digest:
        with (store.root / ".lock").open() as lock:
            was_free.append(try_lock(lock.fileno()))
        return digest_file(path)

    monkeypatch.setattr(inputs, "digest_file", watch)
    with pytest.raises(StoreError, match="xxh3 is"):
        check_inputs(store, DENOISE)
    assert was_free == [True]
    assert store.verdict(ENCODE, CODE) == Verdict("forgotten")


def test_what_is_made_again_after_it_was_found_damaged_is_read_again_and_not_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    store.payload(ENCODE.artifact).write_bytes(b"eno")
    digest_file, read = inputs.digest_file, []

    def repair_afterwards(path: Path) -> Digest:
        digest = digest_file(path)
        read.append(digest)
        if len(read) == 1:
            publish(Store(store.root), ENCODE, b"one")
        return digest

    monkeypatch.setattr(inputs, "digest_file", repair_afterwards)
    assert check_inputs(store, DENOISE) == {ENCODE.artifact: digest_bytes(b"one")}
    assert read == [digest_bytes(b"eno"), digest_bytes(b"one")]
    assert store.verdict(ENCODE, CODE).is_fresh


def test_a_damaged_artifact_is_refused(store: Store):
    store.payload(ENCODE.artifact).write_bytes(b"eno")
    with pytest.raises(StoreError, match="xxh3 is"), hold_inputs(store, DENOISE):
        pass


def test_an_artifact_without_its_payload_is_refused(store: Store):
    store.payload(ENCODE.artifact).unlink()
    with pytest.raises(StoreError, match="is not there"), hold_inputs(store, DENOISE):
        pass


def test_an_artifact_that_is_not_there_is_refused(store: Store):
    with (
        pytest.raises(StoreError, match="was removed while it was in use"),
        hold_inputs(store, build_node("denoise", inputs={"encode": build_node(prompt="x").key})),
    ):
        pass


def test_an_input_removed_in_the_middle_of_a_run_is_reported(store: Store):
    encode, denoise = build_chain()
    store.remove(encode.artifact)
    with pytest.raises(StoreError, match=r"was removed while it was in use. Run `doit` again."):
        publish(store, denoise)
    assert store.verdict(denoise, CODE).state == "absent"
    assert store.verdict(encode, CODE).state == "absent"


def test_an_input_that_was_collected_is_an_error_that_says_how_to_have_it_again(store: Store):
    encode, denoise = build_chain()
    publish(store, encode)
    publish(store, denoise)
    collect(store, encode)
    with pytest.raises(StoreError) as caught:
        check_inputs(store, denoise)
    assert str(caught.value) == (
        f"{store.payload(encode.artifact)}: was deleted by `doit gc`. Run `doit {encode.title}`: it is made again."
    )
    assert store.verdict(encode, CODE) == Verdict("collected")  # still a record, and not forgotten


def test_a_forgotten_artifact_can_still_be_read_by_who_began_before(store: Store):
    encode, denoise = build_chain()
    publish(store, encode)
    store.forget(encode.artifact)
    assert store.payload(encode.artifact).read_bytes() == b"payload"
    assert check_inputs(store, denoise) == {encode.artifact: digest_bytes(b"payload")}


@pytest.mark.parametrize("position", range(len(b"payload")))
def test_a_flipped_bit_of_an_input_is_reported_and_the_next_run_fixes_it(store: Store, position: int):
    encode, denoise = build_chain()
    publish(store, encode)
    path = store.payload(encode.artifact)
    damaged = b"payload"[:position] + bytes([b"payload"[position] ^ 1]) + b"payload"[position + 1 :]
    path.write_bytes(damaged)
    digests = digest_bytes(b"payload"), digest_bytes(damaged)
    assert store.verdict(encode, CODE) == Verdict("corrupt", (Reason("digest", *digests),))
    with pytest.raises(StoreError) as error:
        check_inputs(store, denoise)
    assert str(error.value) == (
        f"{path}: xxh3 is {digest_bytes(damaged)}, the manifest says {digest_bytes(b'payload')}; "
        "the file was cut or edited. Run `doit` again: it is made anew."
    )
    assert store.verdict(encode, CODE) == Verdict("forgotten")
    again = publish(store, encode)
    assert (again.is_same_as_before, again.was_damaged) == (False, True)
    assert check_inputs(store, denoise) == {encode.artifact: digest_bytes(b"payload")}


def test_an_input_without_its_payload_is_reported_and_forgotten(store: Store):
    encode, denoise = build_chain()
    publish(store, encode)
    store.payload(encode.artifact).unlink()
    with pytest.raises(StoreError, match=r"embeddings.safetensors: is not there. Run `doit` again: it is made anew.$"):
        check_inputs(store, denoise)
    assert store.verdict(encode, CODE) == Verdict("forgotten")
