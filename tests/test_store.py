"""The artifact store: what it says, and that it never says something wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders import CODE, build_chain, build_node, files_below, publish

from stages.contracts import CONTRACTS
from stages.errors import StoreError
from stages.keys import Digest, Node
from stages.store import MANIFEST, RUN, Store, Verdict


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
    assert store.payload("encode", node.key).read_bytes() == b"payload"


def test_the_same_inputs_and_bytes_give_the_same_manifest(store: Store, tmp_path: Path):
    node = build_node(prompt="x")
    publish(store, node)
    publish(Store(tmp_path / "other"), node)
    one, other = store.folder("encode", node.key), tmp_path / "other" / "encode" / node.key
    assert (one / MANIFEST).read_bytes() == (other / MANIFEST).read_bytes()
    assert json.loads((one / RUN).read_text()) == {"host": "here"}


def test_changed_code_makes_a_node_stale(store: Store):
    node = build_node()
    publish(store, node)
    assert store.verdict(node, Digest("0" * 32)) == Verdict("stale", "the code of encode has changed")


def test_other_bytes_of_an_input_make_a_node_stale(store: Store):
    encode, denoise = build_chain()
    publish(store, encode, b"one")
    publish(store, denoise)
    publish(store, encode, b"two")
    assert store.verdict(denoise, CODE) == Verdict("stale", "encode has other bytes now")


def test_an_input_made_again_with_equal_bytes_keeps_a_node_fresh(store: Store):
    encode, denoise = build_chain()
    publish(store, encode, b"one")
    publish(store, denoise)
    store.remove("encode", encode.key)
    assert store.verdict(denoise, CODE) == Verdict("stale", "encode is to be made")
    publish(store, encode, b"one", code=Digest("0" * 32))
    assert store.verdict(denoise, CODE).is_fresh


def test_a_forgotten_node_says_whether_its_new_bytes_are_the_same(store: Store):
    node = build_node()
    assert publish(store, node, b"one").is_same_as_before is None
    assert store.forget("encode", node.key)
    assert store.verdict(node, CODE) == Verdict("forgotten")
    assert publish(store, node, b"one").is_same_as_before is True
    store.forget("encode", node.key)
    assert publish(store, node, b"two").is_same_as_before is False
    assert store.verdict(node, CODE).is_fresh


def test_forgetting_and_removing_what_is_not_there_does_nothing(store: Store):
    node = build_node()
    assert not store.forget("encode", node.key)
    assert not store.remove("encode", node.key)


def test_removing_leaves_every_other_artifact(store: Store):
    one, other = build_node(prompt="one"), build_node(prompt="other")
    publish(store, one)
    before = files_below(store.root)
    publish(store, other)
    assert store.remove("encode", other.key)
    assert files_below(store.root) == before


def test_a_draft_that_fails_leaves_nothing(store: Store):
    def fail() -> None:
        with store.draft() as draft:
            (draft / "half").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert files_below(store.root) == {}


@pytest.mark.parametrize("length", range(len(b"payload")))
def test_a_payload_cut_at_any_length_is_corrupt(store: Store, length: int):
    node = build_node()
    publish(store, node)
    os.truncate(store.payload("encode", node.key), length)
    verdict = store.verdict(node, CODE)
    assert verdict.state == "corrupt"
    assert verdict.reason.endswith(f"embeddings.safetensors: has {length} bytes, the manifest says 7.")


def test_a_manifest_cut_at_any_length_is_corrupt(store: Store):
    node = build_node()
    publish(store, node)
    path = store.folder("encode", node.key) / MANIFEST
    whole = path.read_bytes()
    for length in range(len(whole) - 2):  # without its last line break it still says the same
        path.write_bytes(whole[:length])
        assert store.verdict(node, CODE).state == "corrupt", length


def test_a_missing_payload_is_corrupt(store: Store):
    node = build_node()
    publish(store, node)
    store.payload("encode", node.key).unlink()
    assert store.verdict(node, CODE).reason.endswith("embeddings.safetensors: is not there.")


def test_a_corrupt_artifact_is_replaced(store: Store):
    node = build_node()
    publish(store, node)
    (store.folder("encode", node.key) / MANIFEST).write_text("{")
    assert publish(store, node).is_same_as_before is None
    assert store.verdict(node, CODE).is_fresh


def test_a_writer_killed_at_any_moment_leaves_all_or_nothing(store: Store, tmp_path: Path):
    """The process ends without warning at the n-th operation on the file system, for every n."""
    program = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from builders import build_node, publish
from stages.store import Store
left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "shutil.rmtree"):
        left -= 1
        if left < 0:
            os._exit(9)
store = Store(Path(sys.argv[1]))
sys.addaudithook(count)
publish(store, build_node())
"""
    node, paths = build_node(), [str(Path(__file__).parent), *sys.path]
    states = []
    for moment in range(100):
        shutil.rmtree(store.root, ignore_errors=True)
        command = [sys.executable, "-c", program, str(store.root), str(moment), *paths]
        ended = subprocess.run(command, check=False, cwd=tmp_path)
        states.append(store.verdict(node, CODE).state)
        if ended.returncode == 0:
            break
    assert set(states[:-1]) <= {"absent", "fresh"}
    assert states[0] == "absent"
    assert states[-1] == "fresh"
    assert len(states) > 8  # the payload, two JSON files, four syncs, the rename: all moments were tried


def test_drafts_of_processes_that_are_gone_are_swept(store: Store):
    with store.draft() as own:
        gone = store.root / ".drafts" / "999999999-abc"
        gone.mkdir()
        store.sweep_drafts()
        assert own.is_dir()
        assert not gone.exists()


def test_two_writers_of_one_node_leave_one_whole_artifact(store: Store):
    node = build_node()
    with store.draft() as one, store.draft() as other:
        for draft in (one, other):
            (draft / CONTRACTS["encode"].payload).write_bytes(b"payload")
            store.publish(node, draft, code=CODE, run={})
    assert store.verdict(node, CODE).is_fresh
    assert list((store.root / ".drafts").iterdir()) == []


def test_an_input_removed_in_the_middle_of_a_run_is_told(store: Store):
    encode, denoise = build_chain()
    with pytest.raises(StoreError, match=r"was removed while it was in use. Run `doit` again."):
        publish(store, denoise)
    assert store.verdict(denoise, CODE).state == "absent"
    assert store.verdict(encode, CODE).state == "absent"


def test_lineage_leads_back_to_the_prompt(store: Store):
    encode, denoise = build_chain(prompt="x")
    publish(store, encode)
    publish(store, denoise)
    assert [manifest.stage for manifest in store.lineage("denoise", denoise.key)] == ["denoise", "encode"]


def test_a_video_link_leads_to_the_newest_choice_and_survives_moving_the_store(store: Store, tmp_path: Path):
    one, other = Node("export", {"fps": 7}, {}, {}), Node("export", {"fps": 8}, {}, {})
    publish(store, one, b"one")
    publish(store, other, b"other")
    store.link("demo", "export", one.key)
    assert store.is_linked("demo", "export", one.key)
    store.link("demo", "export", other.key)
    assert not store.is_linked("demo", "export", one.key)
    store.root.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "videos" / "demo.mp4").read_bytes() == b"other"


def test_an_unwritable_store_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written"), Store(tmp_path / "file" / "store").draft():
        pass
