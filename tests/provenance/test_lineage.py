"""What stores know of an artifact."""

from pathlib import Path

import pytest

from stages.keys import Digest
from stages.machine.regular_files import digest_file
from stages.provenance.lineage import find_by_content, find_manifest, store_around, trace
from stages.provenance.record import Made
from stages.store.artifacts import Store
from stages.store.manifest import Manifest
from tests.builders import CODE, build_chain, build_node, collect, publish
from tests.store.inventories import set_run


def published(root: Path, payload: bytes = b"payload") -> tuple[Store, Manifest]:
    """A store with an encode and a denoise, and the manifest of the latter."""
    store, (encode, denoise) = Store(root), build_chain()
    publish(store, encode, payload)
    return store, publish(store, denoise).manifest


def by_stage(made: list[Made]) -> dict[str, Made]:
    return {each.stage: each for each in made}


def test_code_and_run_of_each_stage_are_known(tmp_path: Path):
    store, manifest = published(tmp_path)
    set_run(store, build_chain()[0], host="vm")
    made, missing = trace(manifest, [store])
    assert {stage: each.code for stage, each in by_stage(made).items()} == {"encode": CODE, "denoise": CODE}
    assert by_stage(made)["encode"].run == {"host": "vm"}
    assert missing == []


def test_an_artifact_that_no_store_has_is_missing(tmp_path: Path):
    store, manifest = published(tmp_path)
    encode = build_chain()[0]
    store.remove(encode.artifact)
    made, missing = trace(manifest, [store])
    assert ([each.stage for each in made], missing) == (["denoise"], [encode.artifact])


def test_a_second_store_knows_what_the_first_does_not(tmp_path: Path):
    first, manifest = published(tmp_path / "first")
    second, _ = published(tmp_path / "second")
    first.remove(build_chain()[0].artifact)
    made, missing = trace(manifest, [first, second])
    assert (by_stage(made)["encode"].code, missing) == (CODE, [])


def test_of_what_was_made_again_with_other_bytes_code_and_run_are_not_known(tmp_path: Path):
    store, manifest = published(tmp_path)
    encode = build_chain()[0]
    store.forget(encode.artifact)
    publish(store, encode, b"others", Digest("d" * 32))
    made = by_stage(trace(manifest, [store])[0])["encode"]
    assert (made.key, made.code, made.run) == (encode.key, None, None)


def test_nor_are_they_of_what_that_was_made_from(tmp_path: Path):
    store, _ = published(tmp_path)
    encode, denoise = build_chain()
    decode = build_node("decode", inputs={"denoise": denoise.key})
    manifest = publish(store, decode).manifest
    store.forget(denoise.artifact)
    publish(store, denoise, b"others", Digest("d" * 32))
    made = by_stage(trace(manifest, [store])[0])
    assert {stage: each.code for stage, each in made.items()} == {"decode": CODE, "denoise": None, "encode": None}
    assert made["encode"].key == encode.key


@pytest.mark.parametrize("state", ["forgotten", "collected", "damaged run.json"])
def test_what_is_left_of_an_artifact_says_what_made_it(tmp_path: Path, state: str):
    store, manifest = published(tmp_path)
    encode = build_chain()[0]
    if state == "forgotten":
        store.forget(encode.artifact)
    elif state == "collected":
        collect(store, encode)
    else:
        (store.folder(encode.artifact) / "run.json").write_text("[" * 100_000)
    assert by_stage(trace(manifest, [store])[0])["encode"].code == CODE


def test_a_damaged_manifest_says_nothing(tmp_path: Path):
    store, _ = published(tmp_path)
    encode = build_chain()[0]
    (store.folder(encode.artifact) / "manifest.json").write_text("{}")
    assert find_manifest(encode.artifact, [Store(tmp_path)]) is None


def test_the_manifest_of_these_bytes_goes_before_another(tmp_path: Path):
    first, _ = published(tmp_path / "first", b"one")
    second, _ = published(tmp_path / "second", b"two")
    encode = build_chain()[0].artifact
    digest = second.present_manifest(encode).digest
    found = find_manifest(encode, [first, second], digest)
    assert found is not None
    assert found.digest == digest


def test_a_store_is_known_by_the_names_of_its_folders(tmp_path: Path):
    node = build_node()
    store = store_around(tmp_path / node.stage / node.key)
    assert store is not None
    assert store.root == tmp_path
    assert store_around(tmp_path / node.stage / "latest") is None
    assert store_around(tmp_path / "No Stage" / node.key) is None


def test_a_file_is_recognised_by_its_bytes(tmp_path: Path):
    store, _ = published(tmp_path / "store", b"these bytes")
    file = tmp_path / "copy"
    file.write_bytes(b"these bytes")
    found = find_by_content(file, 11, store)
    assert found is not None
    assert (found.stage, found.digest) == ("encode", digest_file(file))


def test_a_file_of_the_same_size_with_other_bytes_is_not(tmp_path: Path):
    store, _ = published(tmp_path / "store", b"these bytes")
    file = tmp_path / "copy"
    file.write_bytes(b"other bytes")
    assert find_by_content(file, 11, store) is None


def test_a_file_of_another_size_is_not_even_read(tmp_path: Path):
    store, _ = published(tmp_path / "store", b"these bytes")
    assert find_by_content(tmp_path / "is not there", 12, store) is None
