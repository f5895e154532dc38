"""Reading the manifests of a store: what is no manifest is never followed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.errors import StoreError, UnreadableError
from stages.keys import Node
from stages.store.artifacts import Store
from stages.store.manifest import MANIFEST, Manifest
from stages.store.verdict import Reason, Verdict
from tests.builders import CODE, acting_as_nobody, build_chain, build_node, publish

ENCODE, DENOISE = build_chain()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


@pytest.fixture
def chain(store: Store) -> Store:
    """With two artifacts, the second of which is made from the first."""
    publish(store, ENCODE)
    publish(store, DENOISE)
    return store


def test_a_manifest_cut_at_any_length_is_corrupt(store: Store):
    node = build_node()
    publish(store, node)
    path = store.folder(node.artifact) / MANIFEST
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert store.verdict(node, CODE).state == "corrupt", length


def test_an_artifact_copied_under_another_key_is_corrupt(store: Store):
    one, other = build_node(prompt="one"), build_node(prompt="other")
    publish(store, one)
    shutil.copytree(store.folder(one.artifact), store.folder(other.artifact))
    path = store.folder(other.artifact) / MANIFEST
    assert store.verdict(other, CODE) == Verdict(
        "corrupt", (Reason("manifest", None, f"{path}: is the manifest of {one.title}. Run `doit`: it is made again."),)
    )


def edit_manifest(store: Store, node: Node, edit: Callable[[dict[str, Any]], None]) -> None:
    """Write another manifest in its place, of the kind that has no checksum."""
    path = store.folder(node.artifact) / MANIFEST
    fields = json.loads(path.read_text(encoding="utf-8"))
    del fields["checksum"]
    edit(fields)
    path.write_text(json.dumps(fields), encoding="utf-8")


EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "no inputs": lambda fields: fields.update(inputs={}),
    "itself as input": lambda fields: fields["inputs"]["encode"].update(key=fields["key"]),
    "a spare input": lambda fields: fields["inputs"].update(decode=fields["inputs"]["encode"]),
    "a payload elsewhere": lambda fields: fields.update(payload="../x"),
    "another file as payload": lambda fields: fields.update(payload="run.json"),
    "another stage": lambda fields: fields.update(stage="upscale"),
    "a parameter": lambda fields: fields["parameters"].update(seed=1),
    "a size that is text": lambda fields: fields.update(size_bytes="7"),
    "a digest of another kind": lambda fields: fields.update(digest="sha256:0"),
    "another format": lambda fields: fields.update(format=2),
    "a missing field": lambda fields: fields.pop("code"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_manifest_is_corrupt_and_never_followed(store: Store, edit: Callable[[dict[str, Any]], None]):
    encode, denoise = build_chain()
    publish(store, encode)
    publish(store, denoise)
    edit_manifest(store, denoise, edit)
    assert store.verdict(denoise, CODE).state == "corrupt"
    with pytest.raises(StoreError, match=r"not a manifest \(.+\). Run `doit`: it is made again.$"):
        store.present_manifest(denoise.artifact)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(field=st.sampled_from(sorted(Manifest.__dataclass_fields__)), value=JSON)
def test_a_manifest_with_any_other_value_is_corrupt(chain: Store, field: str, value: object):
    path = chain.folder(DENOISE.artifact) / MANIFEST
    whole = path.read_bytes()
    try:
        before = json.loads(whole)[field]
        edit_manifest(chain, DENOISE, lambda fields: fields.update({field: value}))
        is_equal = json.dumps(value) == json.dumps(before)
        assert Store(chain.root).verdict(DENOISE, CODE).state == ("fresh" if is_equal else "corrupt")
    finally:
        path.write_bytes(whole)


def test_a_manifest_that_thousands_of_nodes_read_is_parsed_once_and_again_when_it_changes(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    encode, denoise = build_chain()
    publish(store, encode, b"one")
    publish(store, denoise)
    parsed: list[str] = []
    from_json = Manifest.from_json

    def watch(text: str) -> Manifest:
        parsed.append(text)
        return from_json(text)

    monkeypatch.setattr(Manifest, "from_json", watch)
    fresh = Store(store.root)
    assert [fresh.verdict(denoise, CODE).state for _ in range(5)] == ["fresh"] * 5
    assert len(parsed) == 2
    publish(store, encode, b"two")
    assert fresh.verdict(denoise, CODE).state == "stale"


def test_a_manifest_that_may_not_be_read_is_no_damaged_one(chain: Store):
    path = chain.folder(DENOISE.artifact) / MANIFEST
    path.chmod(0)
    message = f"{path}: cannot be read (Permission denied). Fix that and run it again."
    with acting_as_nobody(path):
        for ask in (
            lambda store: store.verdict(DENOISE, CODE),
            lambda store: store.manifest(DENOISE.artifact),
            lambda store: store.present_manifest(DENOISE.artifact),
        ):
            with pytest.raises(UnreadableError) as refused:
                ask(Store(chain.root))
            assert str(refused.value) == message
    path.chmod(0o644)
    assert Store(chain.root).verdict(DENOISE, CODE).is_fresh


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_what_is_in_the_place_of_a_manifest_and_no_file_is_corrupt(chain: Store, make: Callable[[Path], None]):
    path = chain.folder(DENOISE.artifact) / MANIFEST
    path.unlink()
    make(path)
    assert Store(chain.root).verdict(DENOISE, CODE).state == "corrupt"
