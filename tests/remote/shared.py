"""Stores that share a folder by obstore, as machines share a bucket."""

from pathlib import Path

import pytest

from stages.errors import RemoteError
from stages.keys import Node
from stages.remote.address import Address, read_address
from stages.remote.bucket import Bucket
from stages.remote.catalog import Catalog, Found
from stages.remote.entry import Entry
from stages.remote.layout import variant_of
from stages.remote.object_storage import ObjectStorage, open_bucket
from stages.remote.policy import Policy
from stages.remote.remote import RemoteStore
from stages.remote.upload import read_local
from stages.store.artifacts import Store
from tests.builders import build_node, publish

ALL_STAGES = Policy(pushed=("encode", "denoise", "decode", "export"))

pytest.importorskip("obstore", reason="the extra `remote` is not installed")


def open_folder(folder: Path) -> ObjectStorage:
    """A folder as a bucket; it is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return open_bucket(read_address(f"file://{folder}"))


def made(store: Store, payload: bytes = b"payload", *, prompt: str = "x") -> tuple[Node, Entry]:
    """An artifact of a store, and what its remote one would say of it."""
    node = build_node(prompt=prompt)
    publish(store, node, payload)
    manifest = store.present_manifest(node.artifact)
    return node, read_local(store.folder(node.artifact), manifest)


def share(store: Store, folder: Path, policy: Policy = ALL_STAGES, warnings: list[str] | None = None) -> RemoteStore:
    """The remote store of a machine, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    warn = [] if warnings is None else warnings
    address = read_address(f"file://{folder}")
    return RemoteStore(address, store, policy, open_bucket=open_bucket, warn=warn.append)


def find(remote: RemoteStore, entry: Entry) -> Found | None:
    """What a remote store has of an artifact."""
    return remote.find(entry.manifest.node.artifact, variant_of(entry.manifest))


def nothing(_address: Address) -> Bucket:
    """A bucket that cannot be opened."""
    raise RemoteError("s3://bucket: it cannot be reached, or broke off.")


def catalog_of(folder: Path) -> Catalog:
    """What a folder has at present."""
    return Catalog(open_folder(folder))


def ignore(*_numbers: int) -> None:
    pass
