"""Artifacts of a GiB to and from a remote store, beside obstore's own bare calls, turn by turn in one process.

    python -m benchmarks.remote FOLDER [--mib 1024] [--turns 5] [--engine s3]

FOLDER is where files are written, and has room for six of them. The engine is `s3`: moto's server on 127.0.0.1, which
this starts and ends, or `file`: a folder. Bare is one call of the library: a put of a file, a get into memory, and the
same written to a file. Ours is what a run does: what is pushed is compared with its digest first; what is fetched is
written to a file, compared, synced to the disk and published. Prints Markdown.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import obstore
from obstore.store import LocalStore, from_url

from stages.keys import Digest, Node
from stages.remote.address import read_address
from stages.remote.layout import variant_of
from stages.remote.object_storage import open_bucket
from stages.remote.policy import Policy
from stages.remote.remote import RemoteStore
from stages.store.artifacts import Store
from tests.remote.s3 import BUCKET, running_s3, s3_variables

_STAGE, _PAYLOAD = "decode", "frames.safetensors"
_PIECE_BYTES = 1 << 20
Seconds: TypeAlias = dict[str, list[float]]  # of each turn, by what was measured


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--engine", choices=["s3", "file"], default="s3")
    options = parser.parse_args()
    folder = options.folder / "remote-benchmark"
    folder.mkdir()
    seconds: Seconds = {}
    try:
        with running(options.engine, folder) as address:
            for turn in range(options.turns):
                measure(folder, address, options.mib << 20, turn, seconds)
    finally:
        shutil.rmtree(folder)
    print(f"| {options.engine} | bare, s | ours, s | ours / bare, throughput |\n|---|---|---|---|")
    for bare, ours in (("put", "push"), ("get", "fetch"), ("get to a file", "fetch")):
        ratios = sorted(one / other for one, other in zip(seconds[bare], seconds[ours], strict=True))
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(
            f"| {bare} | {median(seconds[bare]):.2f} | {ours}: {median(seconds[ours]):.2f} "
            f"| {median(ratios):.2f} ({shown}) |"
        )


def measure(folder: Path, address: str, size_bytes: int, turn: int, seconds: Seconds) -> None:
    """One turn of all, with bytes that nobody has seen before."""
    here, there = Store(folder / "here"), Store(folder / "there")
    node = publish(here, turn, size_bytes)
    source, library = here.payload(node.artifact), bare_store(address)
    remote, other = connect(address, here), connect(address, there)
    pushes = {
        "put": lambda: obstore.put(library, "bare", source),
        "push": lambda: remote.push(node.artifact, is_whole=True),
    }
    take_turns(pushes, turn, seconds)
    found = other.find(node.artifact, variant_of(here.present_manifest(node.artifact)))
    assert found is not None
    fetches = {
        "get": lambda: obstore.get(library, "bare").bytes(),
        "get to a file": lambda: get_to_file(library, folder / "bare"),
        "fetch": lambda: other.fetch(node, found, lambda _done, _total: None),
    }
    take_turns(fetches, turn, seconds)
    for store in (here, there):
        shutil.rmtree(store.root)
    (folder / "bare").unlink()
    bucket = remote.bucket
    bucket.delete([each.name for kind in ("artifacts", "payloads", "uses") for each in bucket.list(kind)])


def take_turns(acts: Mapping[str, Callable[[], object]], turn: int, seconds: Seconds) -> None:
    """Measure each, another one first in each turn; what earlier work has left to be written is on the disk before."""
    ordered = [*acts.items()]
    for name, act in ordered[turn % len(ordered) :] + ordered[: turn % len(ordered)]:
        os.sync()
        start = time.perf_counter()
        act()
        seconds.setdefault(name, []).append(time.perf_counter() - start)


def get_to_file(library: Any, file: Path) -> None:
    """The library's own get, to a file; not synced."""
    with file.open("wb") as out:
        for piece in obstore.get(library, "bare").stream(min_chunk_size=_PIECE_BYTES):
            out.write(piece)


def bare_store(address: str) -> Any:
    """The library's own, without anything of ours."""
    if address.startswith("file://"):
        return LocalStore(address.removeprefix("file://"))
    return from_url(address, client_options={"allow_http": True, "timeout": "600s"})


def publish(store: Store, turn: int, size_bytes: int) -> Node:
    """An artifact whose payload has so many random bytes."""
    node = Node(stage=_STAGE, parameters={"turn": turn}, components={}, inputs={})
    with store.draft() as draft:
        with (draft / _PAYLOAD).open("wb") as out:
            for _ in range(size_bytes >> 20):
                out.write(os.urandom(1 << 20))
        store.publish(node, draft, payload=_PAYLOAD, inputs={}, code=Digest("0" * 32), run={})
    return node


def connect(address: str, store: Store) -> RemoteStore:
    """A remote store beside a store."""

    def warn(message: str) -> None:
        raise AssertionError(message)

    policy = Policy(pushed=(_STAGE,))
    return RemoteStore(read_address(address), store, policy, open_bucket=open_bucket, warn=warn)


@contextmanager
def running(engine: str, folder: Path) -> Iterator[str]:
    """A place for objects, until the block ends; its address."""
    if engine == "file":
        (folder / "shared").mkdir()
        yield f"file://{folder}/shared"
        return
    with running_s3() as port:
        os.environ |= s3_variables(port)
        yield f"s3://{BUCKET}/x"


if __name__ == "__main__":
    main()
