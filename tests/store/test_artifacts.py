"""The artifact store: what it says, and that it never says something wrong."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import ArtifactId, Digest, Node, digest_bytes
from stages.store.artifacts import Store
from stages.store.inputs import check_inputs
from stages.store.manifest import MANIFEST, NOTE, RUN
from stages.store.verdict import Reason, Verdict
from tests.builders import CODE, acting_as_nobody, build_chain, build_node, collect, files_below, payload_of, publish
from tests.store.moments import states_after

pytestmark = pytest.mark.processes

PATHS = [str(Path(__file__).parents[2]), *sys.path]  # of another process that publishes as the tests do


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def test_a_node_that_was_never_made_is_absent(store: Store):
    assert store.verdict(build_node(), CODE) == Verdict("absent")
    assert not store.root.exists()


def test_a_published_node_is_fresh(store: Store):
    node = build_node(prompt="x")
    publish(store, node)
    assert store.verdict(node, CODE) == Verdict("fresh")
    assert store.payload(node.artifact).read_bytes() == b"payload"


def test_the_same_inputs_and_bytes_give_the_same_manifest(store: Store, tmp_path: Path):
    node = build_node(prompt="x")
    publish(store, node)
    publish(Store(tmp_path / "other"), node)
    one, other = store.folder(node.artifact), tmp_path / "other" / "encode" / node.key
    assert (one / MANIFEST).read_bytes() == (other / MANIFEST).read_bytes()
    assert json.loads((one / RUN).read_text()) == {"host": "here"}


def test_changed_code_makes_a_node_stale(store: Store):
    node = build_node()
    publish(store, node)
    assert store.verdict(node, Digest("0" * 32)) == Verdict("stale", (Reason("code", CODE, "0" * 32),))


def test_other_bytes_of_an_input_make_a_node_stale(store: Store):
    encode, denoise = build_chain()
    publish(store, encode, b"one")
    publish(store, denoise)
    publish(store, encode, b"two")
    assert store.verdict(denoise, CODE) == Verdict(
        "stale", (Reason("inputs.encode", digest_bytes(b"one"), digest_bytes(b"two")),)
    )


def test_an_input_made_again_with_equal_bytes_keeps_a_node_fresh(store: Store):
    encode, denoise = build_chain()
    publish(store, encode, b"one")
    publish(store, denoise)
    store.remove(encode.artifact)
    assert store.verdict(denoise, CODE) == Verdict("stale", (Reason("inputs.encode", digest_bytes(b"one"), None),))
    publish(store, encode, b"one", code=Digest("0" * 32))
    assert store.verdict(denoise, CODE).is_fresh


def test_a_forgotten_node_says_whether_its_new_bytes_are_the_same(store: Store):
    node = build_node()
    assert publish(store, node, b"one").is_same_as_before is None
    assert store.forget(node.artifact)
    assert store.verdict(node, CODE) == Verdict("forgotten")
    assert publish(store, node, b"one").is_same_as_before is True
    store.forget(node.artifact)
    assert publish(store, node, b"two").is_same_as_before is False
    assert store.verdict(node, CODE).is_fresh


@pytest.mark.parametrize(
    ("there", "new", "is_same", "was_damaged"),
    [
        (b"one", b"one", True, False),
        (b"0ne", b"one", False, True),
        (b"0ne", b"two", False, False),
        (b"two", b"two", False, False),  # nobody knows what it was that lay there
        (None, b"one", True, False),
    ],
)
def test_what_is_said_of_the_bytes_before_is_said_of_the_file(
    store: Store, there: bytes | None, new: bytes, *, is_same: bool, was_damaged: bool
):
    node = build_node()
    publish(store, node, b"one")
    path = store.payload(node.artifact)
    store.forget(node.artifact)
    path.unlink()
    if there is not None:
        path.write_bytes(there)
    again = publish(store, node, new)
    assert (again.is_same_as_before, again.was_damaged) == (is_same, was_damaged)


def test_a_draft_that_fails_leaves_nothing(store: Store):
    def fail() -> None:
        with store.draft() as draft:
            (draft / "half").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert files_below(store.root) == {".lock": b""}
    assert list((store.root / ".drafts").iterdir()) == []


@pytest.mark.parametrize("length", range(len(b"payload")))
def test_a_payload_cut_at_any_length_is_corrupt(store: Store, length: int):
    node = build_node()
    publish(store, node)
    os.truncate(store.payload(node.artifact), length)
    verdict = store.verdict(node, CODE)
    assert verdict.state == "corrupt"
    assert verdict.reasons == (Reason("payload", 7, length),)


def test_a_missing_payload_is_corrupt(store: Store):
    node = build_node()
    publish(store, node)
    store.payload(node.artifact).unlink()
    assert store.verdict(node, CODE).reasons == (Reason("payload", 7, None),)


def test_a_corrupt_artifact_is_replaced(store: Store):
    node = build_node()
    publish(store, node)
    (store.folder(node.artifact) / MANIFEST).write_text("{")
    assert publish(store, node).is_same_as_before is None
    assert store.verdict(node, CODE).is_fresh


def test_a_writer_killed_at_any_moment_leaves_all_or_nothing(tmp_path: Path):
    """The process ends without warning at the n-th operation on the file system, for every n."""
    states = states_after("kill_writer", tmp_path / "artifacts")
    assert set(states[:-1]) <= {"absent", "fresh"}
    assert states[0] == "absent"
    assert states[-1] == "fresh"
    assert len(states) > 8  # the payload, two JSON files, four syncs, the rename: all moments were tried


def test_a_disk_that_is_full_at_any_moment_leaves_the_old_artifact_or_the_new_one(tmp_path: Path):
    """The n-th operation on the file system fails, for every n."""
    digests = states_after("fill_disk", tmp_path / "artifacts")
    assert set(digests[:-1]) == {digest_bytes(b"payload"), digest_bytes(b"other")}  # before and after the renames
    assert digests[-1] == digest_bytes(b"other")
    assert len(digests) > 8


@pytest.mark.parametrize(("theirs", "kept"), [(b"payload", "first"), (b"other", "second")])
def test_of_equal_artifacts_made_at_the_same_time_the_first_stays(store: Store, theirs: bytes, kept: str):
    """Somebody may read it by now, over a network file system where what is replaced can no longer be read."""
    node = build_node()
    with store.draft(node) as draft:
        (draft / payload_of(node.stage)).write_bytes(b"payload")
        publish(store, node, theirs)
        second = store.publish(
            node, draft, payload=payload_of(node.stage), inputs={}, code=CODE, run={"host": "second"}
        )
    run = json.loads((store.folder(node.artifact) / RUN).read_text())
    assert second.is_same_as_before is (theirs == b"payload")
    assert run == {"host": "here" if kept == "first" else "second"}
    assert store.payload(node.artifact).read_bytes() == b"payload"


@pytest.mark.parametrize("hours", [-5, 0, 5], ids=["past", "now", "future"])
def test_a_damaged_artifact_is_repaired_whatever_the_time_of_its_manifest(store: Store, hours: int):
    """Its manifest is the one that the repair makes, too."""
    node = build_node()
    publish(store, node)
    manifest = store.folder(node.artifact) / MANIFEST
    time_s = manifest.stat().st_mtime + 3600 * hours
    os.utime(manifest, (time_s, time_s))
    os.truncate(store.payload(node.artifact), 3)
    with store.draft(node) as draft:
        (draft / payload_of(node.stage)).write_bytes(b"payload")
        store.publish(node, draft, payload=payload_of(node.stage), inputs={}, code=CODE, run={})
    assert store.payload(node.artifact).read_bytes() == b"payload"
    assert store.verdict(node, CODE).is_fresh


def test_two_processes_that_publish_one_node_over_and_over_never_lose_it(store: Store, tmp_path: Path):
    program = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from tests.builders import build_node, publish
from stages.store.artifacts import Store
for _ in range(100):
    publish(Store(Path(sys.argv[1])), build_node(), sys.argv[2].encode())
"""
    node = build_node()
    publish(store, node, b"one")
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(store.root), payload, *PATHS], cwd=tmp_path)
        for payload in ("one", "other")  # of different size, so that a mixture would be seen
    ]
    states = {"fresh"}
    while any(writer.poll() is None for writer in writers):
        states.add(store.verdict(node, CODE).state)
        check_inputs(store, build_node("denoise", inputs={"encode": node.key}))
        store.sweep_drafts()
        time.sleep(0.001)  # a slow disk keeps the writers waiting for a minute
    assert [writer.returncode for writer in writers] == [0, 0]
    assert states == {"fresh"}
    assert list((store.root / ".drafts").iterdir()) == []


@pytest.fixture
def writer(store: Store, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun a draft and waits."""
    program = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from stages.store.artifacts import Store
with Store(Path(sys.argv[1])).draft() as draft:
    (draft / "half").write_bytes(b"half")
    print(draft, flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(store.root), *PATHS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        yield process
        process.kill()


def test_a_draft_is_swept_when_its_writer_is_gone_and_not_before(store: Store, writer: subprocess.Popen[str]):
    assert writer.stdout is not None
    draft = Path(writer.stdout.readline().strip())
    store.sweep_drafts()
    assert (draft / "half").is_file()
    writer.kill()
    writer.communicate()
    store.sweep_drafts()
    assert list((store.root / ".drafts").iterdir()) == []


def test_a_sweep_leaves_what_it_does_not_know_and_never_raises(store: Store):
    store.sweep_drafts()
    publish(store, build_node())
    foreign = store.root / ".drafts" / "a-b"
    (foreign / "c.lock").mkdir(parents=True)
    (store.root / ".drafts" / "d.lock").mkdir()
    store.sweep_drafts()
    assert sorted(path.name for path in (store.root / ".drafts").iterdir()) == ["a-b", "d.lock"]


def test_two_writers_of_one_node_leave_one_whole_artifact(store: Store):
    node = build_node()
    with store.draft() as one, store.draft() as other:
        for draft in (one, other):
            (draft / payload_of("encode")).write_bytes(b"payload")
            store.publish(node, draft, payload=payload_of(node.stage), inputs={}, code=CODE, run={})
    assert store.verdict(node, CODE).is_fresh
    assert list((store.root / ".drafts").iterdir()) == []


def test_of_a_node_from_a_file_it_is_the_code_that_reads_files_that_changes(store: Store):
    node = Node("denoise", {"from_file": "a" * 32}, {}, {})
    publish(store, node)
    assert store.verdict(node, Digest("0" * 32)) == Verdict("stale", (Reason("code", CODE, "0" * 32),))


def test_an_artifact_is_published_from_its_direct_inputs_alone(store: Store):
    encode, denoise = build_chain()
    decode = build_node("decode", inputs={"denoise": denoise.key})
    publish(store, encode)
    publish(store, denoise)
    store.remove(encode.artifact)
    publish(store, decode)
    assert store.verdict(decode, CODE).is_fresh


def test_what_was_made_from_a_collected_artifact_stays_fresh(store: Store):
    encode, denoise = build_chain()
    publish(store, encode)
    publish(store, denoise)
    collect(store, encode)
    assert store.verdict(encode, CODE) == Verdict("collected")
    assert store.verdict(denoise, CODE) == Verdict("fresh")


def test_a_collected_artifact_that_would_be_made_again_anyway_is_stale_or_forgotten(store: Store):
    encode, denoise = build_chain()
    publish(store, encode, b"one")
    publish(store, denoise)
    collect(store, denoise)
    assert store.verdict(denoise, Digest("0" * 32)).state == "stale"
    publish(store, encode, b"two")
    assert store.verdict(denoise, CODE).state == "stale"
    store.forget(denoise.artifact)
    assert store.verdict(denoise, CODE) == Verdict("forgotten")


def test_of_a_collected_artifact_a_payload_of_another_size_is_corrupt(store: Store):
    node = build_node()
    publish(store, node)
    collect(store, node)
    store.payload(node.artifact).write_bytes(b"pay")
    assert store.verdict(node, CODE) == Verdict("corrupt", (Reason("payload", 7, 3),))


def test_a_collected_artifact_that_is_made_again_is_compared_with_what_it_was(store: Store):
    node = build_node()
    publish(store, node, b"one")
    collect(store, node)
    assert publish(store, node, b"one").is_same_as_before is True
    assert store.verdict(node, CODE) == Verdict("fresh")
    collect(store, node)
    assert publish(store, node, b"two").is_same_as_before is False


def test_what_is_collected_while_it_is_made_again_is_there_afterwards(store: Store):
    """Its manifest is that of equal bytes, and younger than the draft: but its payload is gone."""
    node = build_node()
    with store.draft() as draft:
        (draft / payload_of(node.stage)).write_bytes(b"payload")
        begun = draft.parent.stat().st_mtime_ns
        os.utime(draft.parent, ns=(begun, begun - 10**9))  # a second ago
        publish(store, node)
        collect(store, node)
        store.publish(node, draft, payload=payload_of(node.stage), inputs={}, code=CODE, run={})
    assert store.verdict(node, CODE) == Verdict("fresh")


def remake_while_in_use(store: Store, payload: bytes) -> Node:
    """Publish a denoise node whose input is made again after it was read."""
    encode, denoise = build_chain()
    publish(store, encode, b"one")
    with store.draft() as draft:
        inputs = check_inputs(store, denoise)
        publish(store, encode, payload)
        (draft / payload_of("denoise")).write_bytes(b"made from one")
        store.publish(denoise, draft, payload=payload_of(denoise.stage), inputs=inputs, code=CODE, run={})
    return denoise


def test_what_was_made_from_an_input_that_is_another_one_now_is_published_for_what_it_was_made_from(store: Store):
    denoise = remake_while_in_use(store, b"two")
    assert store.present_manifest(denoise.artifact).inputs["encode"].digest == digest_bytes(b"one")
    assert store.verdict(denoise, CODE) == Verdict(
        "stale", (Reason("inputs.encode", digest_bytes(b"one"), digest_bytes(b"two")),)
    )
    publish(store, build_chain()[0], b"one")
    assert store.verdict(denoise, CODE).is_fresh


@pytest.mark.parametrize("end", [Store.forget, Store.remove], ids=["forgotten", "removed"])
def test_a_result_is_published_when_what_it_was_made_from_is_gone(
    store: Store, end: Callable[[Store, ArtifactId], bool]
):
    encode, denoise = build_chain()
    publish(store, encode)
    with store.draft(denoise) as draft:
        inputs = check_inputs(store, denoise)
        end(store, encode.artifact)
        (draft / payload_of("denoise")).write_bytes(b"an hour's work")
        store.publish(denoise, draft, payload=payload_of(denoise.stage), inputs=inputs, code=CODE, run={})
    assert store.verdict(denoise, CODE).reasons == (Reason("inputs.encode", digest_bytes(b"payload"), None),)
    publish(store, encode)
    assert store.verdict(denoise, CODE).is_fresh


def test_an_input_that_was_made_again_with_equal_bytes_does_no_harm(store: Store):
    assert store.verdict(remake_while_in_use(store, b"one"), CODE).is_fresh


@pytest.mark.parametrize(("umask", "folder", "file"), [(0o022, 0o755, 0o644), (0o027, 0o750, 0o640), (0, 0o777, 0o666)])
def test_an_artifact_is_readable_by_whom_the_umask_admits(store: Store, umask: int, folder: int, file: int):
    node, before = build_node(), os.umask(umask)
    try:
        with store.draft() as draft:
            payload = draft / payload_of("encode")
            payload.touch(0o600)  # as some libraries do
            store.publish(node, draft, payload=payload_of(node.stage), inputs={}, code=CODE, run={})
    finally:
        os.umask(before)
    made = store.folder(node.artifact)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (made, *made.iterdir())}
    assert modes == {node.key: folder, payload.name: file, MANIFEST: file, RUN: file, NOTE: file}


def test_a_prompt_in_any_script_is_stored_whatever_the_locale_is(store: Store, tmp_path: Path):
    program = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from tests.builders import CODE, build_node, publish
from stages.store.artifacts import Store
store, node = Store(Path(sys.argv[1])), build_node(prompt="\\u732b")
publish(store, node)
assert store.verdict(node, CODE).is_fresh
"""
    command = [sys.executable, "-c", program, str(store.root), *PATHS]
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    node = build_node(prompt="猫")
    assert store.verdict(node, CODE).is_fresh
    assert "猫" in (store.folder(node.artifact) / MANIFEST).read_text(encoding="utf-8")


def test_an_unwritable_store_is_reported(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written"), Store(tmp_path / "file" / "store").draft():
        pass


@pytest.mark.parametrize("is_there", [True, False], ids=["in a store", "in a new one"])
def test_what_lies_above_a_store_need_not_be_readable(tmp_path: Path, *, is_there: bool):
    above, node = tmp_path / "above", build_node()
    above.mkdir()
    store = Store(above / "artifacts")
    if is_there:
        store.root.mkdir()
        store.root.chmod(0o777)
    above.chmod(0o333)
    with acting_as_nobody(above):
        publish(store, node)
    assert store.verdict(node, CODE).is_fresh


def test_publishing_does_not_throw_away_work_because_what_was_there_cannot_be_read(store: Store):
    node = build_node()
    publish(store, node)
    store.forget(node.artifact)
    path = store.payload(node.artifact)
    path.chmod(0)
    store.folder(node.artifact).chmod(0o777)
    for folder in (store.root, store.root / "encode", store.root / ".drafts", store.root / ".lock"):
        folder.chmod(0o777)
    with acting_as_nobody(store.root):
        again = publish(store, node)
    assert (again.is_same_as_before, again.was_damaged) == (None, False)
    assert store.verdict(node, CODE).is_fresh
