"""What an artifact was made from."""

from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import Node
from stages.store.artifacts import Store
from stages.store.lineage import read_lineage
from stages.store.manifest import MANIFEST
from tests.builders import build_chain, build_node, publish


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def test_lineage_leads_back_to_the_prompt(store: Store):
    encode, denoise = build_chain(prompt="x")
    publish(store, encode)
    publish(store, denoise)
    assert [manifest.stage for manifest in read_lineage(store, denoise.artifact)] == ["denoise", "encode"]


def test_lineage_ends_at_a_file_from_elsewhere(store: Store):
    denoise = Node("denoise", {"from_file": "a" * 32}, {}, {})
    decode = build_node("decode", inputs={"denoise": denoise.key})
    publish(store, denoise)
    publish(store, decode)
    assert [manifest.stage for manifest in read_lineage(store, decode.artifact)] == ["decode", "denoise"]


def test_a_lineage_with_a_gap_is_an_error(store: Store):
    encode, denoise = build_chain()
    publish(store, encode)
    publish(store, denoise)
    store.remove(encode.artifact)
    with pytest.raises(StoreError, match="was removed while it was in use"):
        read_lineage(store, denoise.artifact)


def test_a_damaged_manifest_is_never_followed(store: Store):
    encode, denoise = build_chain()
    publish(store, encode)
    publish(store, denoise)
    (store.folder(denoise.artifact) / MANIFEST).write_text("{}")
    with pytest.raises(StoreError, match=r"not a manifest \(.+\). Run `doit`: it is made again.$"):
        read_lineage(store, denoise.artifact)
