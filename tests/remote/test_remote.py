"""A remote store beside a store: what is fetched is what was pushed, or it is refused and kept aside."""

import random
import threading
from pathlib import Path

import pytest

from stages.errors import RemoteError
from stages.keys import Node
from stages.machine.regular_files import digest_file
from stages.remote.address import read_address
from stages.remote.entry import Entry
from stages.remote.layout import mark_of_copy, name_use, variant_of
from stages.remote.object_storage import open_bucket
from stages.remote.policy import Policy
from stages.remote.remote import RemoteStore
from stages.store.artifacts import Store
from stages.store.manifest import COLLECTED, MANIFEST, NOTE, RUN
from stages.store.records import recorded_from
from stages.store.verdict import Verdict
from tests.builders import CODE, files_below, publish
from tests.remote.s3 import BUCKET
from tests.remote.shared import ALL_STAGES, find, ignore, made, nothing, share

PAYLOAD = bytes(range(256)) * 4
NUM_FLIPS = 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def here(tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


@pytest.fixture
def pushed(tmp_path: Path, folder: Path) -> tuple[Node, Entry]:
    """An artifact of another machine, which has pushed it."""
    there = Store(tmp_path / "there")
    node, entry = made(there, PAYLOAD)
    share(there, folder).push(node.artifact)
    return node, entry


def fetch(remote: RemoteStore, node: Node, entry: Entry) -> int:
    found = find(remote, entry)
    assert found is not None
    return remote.fetch(node, found, ignore)


def test_what_was_fetched_is_fresh_and_has_the_files_of_a_published_artifact(
    pushed: tuple[Node, Entry], here: Store, folder: Path
):
    node, entry = pushed
    assert fetch(share(here, folder), node, entry) == len(PAYLOAD)
    assert here.verdict(node, CODE) == Verdict("fresh")
    assert {*files_below(here.folder(node.artifact))} == {"embeddings.safetensors", MANIFEST, RUN, NOTE}
    assert here.payload(node.artifact).read_bytes() == PAYLOAD


def test_how_it_was_made_is_known_and_from_where_it_came(pushed: tuple[Node, Entry], here: Store, folder: Path):
    node, entry = pushed
    fetch(share(here, folder), node, entry)
    text = (here.folder(node.artifact) / RUN).read_text()
    assert text == f'{{\n  "fetched": "file://{folder}",\n  "host": "here"\n}}\n'


def test_nothing_of_a_transfer_is_left(pushed: tuple[Node, Entry], here: Store, folder: Path):
    node, entry = pushed
    fetch(share(here, folder), node, entry)
    assert files_below(here.root / ".remote") == {}


def test_what_was_fetched_and_is_pushed_again_is_the_same_object(pushed: tuple[Node, Entry], here: Store, folder: Path):
    node, entry = pushed
    before = files_below(folder)
    fetch(share(here, folder), node, entry)
    other = folder.with_name("other")
    share(here, other).push(node.artifact)
    assert files_below(other) == before


def test_a_record_says_what_an_artifact_is_without_its_payload(pushed: tuple[Node, Entry], here: Store, folder: Path):
    node, entry = pushed
    remote = share(here, folder)
    found = find(remote, entry)
    assert found is not None
    remote.record(node, found, is_missing=lambda: True)
    assert here.verdict(node, CODE) == Verdict("collected")
    assert {*files_below(here.folder(node.artifact))} == {MANIFEST, COLLECTED}


def test_of_a_record_it_is_known_that_its_payload_was_never_here_and_nothing_of_that_is_pushed(
    pushed: tuple[Node, Entry], here: Store, folder: Path
):
    node, entry = pushed
    remote = share(here, folder)
    found = find(remote, entry)
    assert found is not None
    remote.record(node, found, is_missing=lambda: True)
    assert recorded_from(here.folder(node.artifact)) == f"file://{folder}"
    other = share(here, folder.with_name("other"))
    other.push(node.artifact, is_whole=False)
    again = find(other, entry)
    assert again is not None
    assert again.entry.run == entry.run


def test_what_was_fetched_is_noted_as_used_unless_this_machine_only_reads(
    pushed: tuple[Node, Entry], here: Store, folder: Path
):
    node, entry = pushed
    use = folder / name_use(node.artifact, variant_of(entry.manifest))
    fetch(share(here, folder, Policy(pushed=None)), node, entry)
    assert not use.exists()
    fetch(share(Store(here.root.with_name("second")), folder), node, entry)
    assert use.read_bytes() == b""


def test_where_uses_cannot_be_noted_what_was_fetched_is_here_all_the_same(
    pushed: tuple[Node, Entry], here: Store, folder: Path
):
    node, entry = pushed
    (folder / "uses").touch()  # so that there can be no such folder
    assert fetch(share(here, folder), node, entry) == len(PAYLOAD)


def test_a_record_takes_the_place_of_nothing_that_has_appeared_meanwhile(pushed: tuple[Node, Entry], here: Store):
    node, entry = pushed
    with here.draft(node) as draft:
        publish(here, node, b"made here")
        assert not here.publish_record(draft, entry.manifest, entry.run)
    assert here.payload(node.artifact).read_bytes() == b"made here"


def test_every_flip_of_a_byte_there_is_refused(pushed: tuple[Node, Entry], here: Store, folder: Path):
    node, entry = pushed
    objects, draw = files_below(folder), random.Random(15)  # noqa: S311 (which bytes, is no secret)
    sizes = [(name, len(content)) for name, content in objects.items()]
    for _ in range(NUM_FLIPS):
        name, size = draw.choice(sizes)
        place = draw.randrange(size)
        content = bytearray(objects[name])
        content[place] ^= 1 << draw.randrange(8)
        (folder / name).write_bytes(content)
        remote = share(here, folder)
        found = find(remote, entry)
        if name.startswith("payloads"):
            assert found is not None
            with pytest.raises(RemoteError, match="is refused"):
                remote.fetch(node, found, ignore)
        else:
            assert found is None
        assert here.verdict(node, CODE) == Verdict("absent")
        (folder / name).write_bytes(objects[name])


def test_what_is_refused_is_kept_aside_and_named(pushed: tuple[Node, Entry], here: Store, folder: Path):
    node, entry = pushed
    payload = folder / f"payloads/{entry.manifest.digest}/embeddings.safetensors"
    payload.write_bytes(bytes(len(PAYLOAD)))
    remote = share(here, folder)
    with pytest.raises(RemoteError) as error:
        fetch(remote, node, entry)
    kept = here.root / f".remote/refused/{entry.manifest.digest}/embeddings.safetensors"
    assert str(error.value) == (
        f"file://{folder}: what it has of {node.title} is refused: xxh3 is {digest_file(payload)}, its manifest says "
        f"{entry.manifest.digest}. It is kept in {kept}."
    )
    assert kept.read_bytes() == bytes(len(PAYLOAD))
    assert find(remote, entry) is None  # it is not tried again by this run


def test_what_was_refused_is_put_right_by_whoever_makes_it_again(pushed: tuple[Node, Entry], here: Store, folder: Path):
    node, entry = pushed
    payload = folder / f"payloads/{entry.manifest.digest}/embeddings.safetensors"
    payload.write_bytes(bytes(len(PAYLOAD)))
    remote = share(here, folder)
    with pytest.raises(RemoteError):
        fetch(remote, node, entry)
    publish(here, node, PAYLOAD)
    assert remote.push(node.artifact).num_bytes == len(PAYLOAD)
    assert payload.read_bytes() == PAYLOAD
    assert files_below(here.root / ".remote/refused") == {}
    assert remote.push(node.artifact).num_bytes == 0


def test_of_a_transfer_that_was_refused_only_what_was_refused_is_left(
    pushed: tuple[Node, Entry], here: Store, folder: Path
):
    node, entry = pushed
    (folder / f"payloads/{entry.manifest.digest}/embeddings.safetensors").write_bytes(bytes(len(PAYLOAD)))
    with pytest.raises(RemoteError):
        fetch(share(here, folder), node, entry)
    assert [path.name for path in (here.root / ".remote").iterdir()] == ["refused"]


def test_what_a_gc_has_deleted_of_what_was_refused_does_not_make_a_push_send_it_again(
    pushed: tuple[Node, Entry], here: Store, folder: Path
):
    node, entry = pushed
    publish(here, node, PAYLOAD)
    (here.root / f".remote/refused/{entry.manifest.digest}").mkdir(parents=True)
    assert share(here, folder).push(node.artifact).num_bytes == 0


def test_what_was_refused_is_put_right_also_where_it_comes_out_in_other_bytes(
    pushed: tuple[Node, Entry], here: Store, folder: Path
):
    node, entry = pushed
    (folder / f"payloads/{entry.manifest.digest}/embeddings.safetensors").write_bytes(bytes(len(PAYLOAD)))
    remote = share(here, folder)
    with pytest.raises(RemoteError):
        fetch(remote, node, entry)
    publish(here, node, PAYLOAD[::-1])
    assert remote.push(node.artifact).is_first
    third = Store(here.root.with_name("third"))
    fetch(share(third, folder), node, entry)
    assert third.payload(node.artifact).read_bytes() == PAYLOAD[::-1]


def test_a_payload_that_is_gone_there_is_an_error_and_nothing_is_published(
    pushed: tuple[Node, Entry], here: Store, folder: Path
):
    node, entry = pushed
    name = f"payloads/{entry.manifest.digest}/embeddings.safetensors"
    (folder / name).unlink()
    with pytest.raises(RemoteError, match=f"^{name}: is not there.$"):
        fetch(share(here, folder), node, entry)
    assert here.verdict(node, CODE) == Verdict("absent")


def test_what_was_pushed_is_known_as_it_was_put(pushed: tuple[Node, Entry], here: Store, folder: Path):
    node, entry = pushed
    (folder / mark_of_copy(entry.manifest.digest, "", "0" * 32)).touch()  # what is missing is put as another copy
    (folder / f"payloads/{entry.manifest.digest}/embeddings.safetensors").unlink()
    publish(here, node, PAYLOAD)
    remote = share(here, folder)
    remote.push(node.artifact)
    known = find(remote, entry)
    assert known is not None
    assert (known, bool(known.entry.copy)) == (find(share(here, folder), entry), True)


def test_by_the_policy_a_payload_is_pushed_or_only_what_it_is(here: Store, folder: Path):
    node, entry = made(here, PAYLOAD)
    remote = share(here, folder, Policy(pushed=("denoise",)))
    assert remote.push(node.artifact).num_bytes == 0
    found = find(share(here, folder), entry)
    assert found is not None
    assert not found.is_whole


def test_where_it_does_not_answer_it_has_nothing_and_one_message_says_why(here: Store):
    warnings: list[str] = []
    remote = RemoteStore(read_address("s3://bucket"), here, ALL_STAGES, open_bucket=nothing, warn=warnings.append)
    _, entry = made(here)
    assert find(remote, entry) is None
    assert find(remote, entry) is None
    remote.prepare([])
    with pytest.raises(RemoteError, match="it cannot be reached, or broke off"):
        remote.push(made(here)[0].artifact)
    assert warnings == ["s3://bucket: it cannot be reached, or broke off. Work goes on without it."]


def test_whoever_requires_it_gets_an_error(here: Store):
    warnings: list[str] = []
    remote = RemoteStore(read_address("s3://bucket"), here, ALL_STAGES, open_bucket=nothing, warn=warnings.append)
    remote.require()
    with pytest.raises(RemoteError, match="it cannot be reached, or broke off"):
        find(remote, made(here)[1])
    assert warnings == []


@pytest.mark.usefixtures("s3")
def test_sixteen_who_push_one_artifact_at_a_time_all_succeed_and_there_is_one(here: Store, tmp_path: Path):
    node, entry = made(here, PAYLOAD)
    address, barrier, pushed = read_address(f"s3://{BUCKET}/sixteen"), threading.Barrier(16), list[bool]()

    def open_remote(store: Store) -> RemoteStore:
        return RemoteStore(address, store, ALL_STAGES, open_bucket=open_bucket, warn=pytest.fail)

    def push() -> None:
        remote = open_remote(here)
        barrier.wait(60)
        pushed.append(remote.push(node.artifact).is_first)

    threads = [threading.Thread(target=push) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pushed == [True] * 16  # what is there is what each has pushed
    other = open_remote(Store(tmp_path / "other"))
    assert len(other.catalog.names()) == 1
    assert fetch(other, node, entry) == len(PAYLOAD)
