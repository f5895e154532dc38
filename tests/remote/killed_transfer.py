"""A transfer or a collection in a process of its own, to be killed.

    python -m tests.remote.killed_transfer push|pull|collect STORE FOLDER

Payloads are in parts of a KiB, so that a kill falls between two. Prints a line when it begins, and another at the end.
"""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stages.errors import BeingCollectedError
from stages.keys import Key
from stages.remote.address import read_address
from stages.remote.catalog import Catalog
from stages.remote.collection import Rules
from stages.remote.collector import collect_remote
from stages.remote.layout import variant_of
from stages.remote.object_storage import open_bucket
from stages.remote.policy import Policy
from stages.remote.remote import RemoteStore
from stages.remote.upload import read_local, upload
from stages.store.artifacts import Store
from stages.store.inventory import list_artifacts

PART_BYTES = 1024


def push(store: Store, folder: str) -> None:
    """Push all artifacts of a store."""
    bucket = open_bucket(read_address(f"file://{folder}"))
    for path, artifact in list_artifacts(store.root):
        entry = replace(read_local(path, store.present_manifest(artifact)), part_bytes=PART_BYTES)
        with suppress(BeingCollectedError):  # the next push goes on
            upload(bucket, Catalog(bucket), path, entry, lambda _num_bytes: None, is_whole=True)


def pull(store: Store, folder: str) -> None:
    """Fetch all artifacts of a folder that are not in the store. Whatever says that it is there has its payload."""
    address = read_address(f"file://{folder}")
    remote = RemoteStore(address, store, Policy(), open_bucket=open_bucket, warn=print)
    for name in sorted(remote.catalog.names()):
        found = remote.catalog.read(name)
        if found is None:  # collected since it was listed
            continue
        node = found.entry.manifest.node
        assert Key(node.key) == found.entry.manifest.key
        assert variant_of(found.entry.manifest) in name
        if store.manifest(node.artifact) is None:
            remote.fetch(node, found, lambda _done, _total: None)


def collect(_store: Store, folder: str) -> None:
    """Delete what nobody has used for a month."""
    collect_remote(open_bucket(read_address(f"file://{folder}")), Rules(grace_s=3600.0, keep_s=30 * 86_400.0))


if __name__ == "__main__":
    print("begun", flush=True)
    {"push": push, "pull": pull, "collect": collect}[sys.argv[1]](Store(Path(sys.argv[2])), sys.argv[3])
    print("done", flush=True)
