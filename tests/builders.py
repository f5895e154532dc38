"""Small things that several tests build."""

import os
from functools import cache
from pathlib import Path

from stages.keys import Digest, Key, Node
from stages.pipeline.contract import CONTRACTS
from stages.run.fingerprint import fingerprint
from stages.store.artifacts import Published, Store
from stages.store.stat_cache import StatCache

CODE = Digest("c" * 32)


@cache
def code_of(program: str) -> Digest:
    """Fingerprint of a program's real code, without which its process does no job."""
    return fingerprint(program, StatCache(Path(os.devnull)))


def build_node(stage: str = "encode", *, inputs: dict[str, Key] | None = None, **parameters: str | float) -> Node:
    """A node whose parameters are only those given."""
    return Node(stage=stage, parameters=parameters, components={"vae": "0" * 32}, inputs=inputs or {})


def build_chain(**parameters: str | float) -> tuple[Node, Node]:
    """An encode node and a denoise node that reads it."""
    encode = build_node("encode", **parameters)
    return encode, build_node("denoise", inputs={"encode": encode.key})


def publish(store: Store, node: Node, payload: bytes = b"payload", code: Digest = CODE) -> Published:
    """Put an artifact into the store the way a stage does."""
    with store.draft() as draft:
        inputs = store.check_inputs(node)
        (draft / CONTRACTS[node.stage].payload).write_bytes(payload)
        return store.publish(node, draft, inputs=inputs, code=code, run={"host": "here"})


def files_below(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
