"""Small things that several tests build."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from stages.keys import ArtifactId, Digest, Key, Node
from stages.models.checkpoint import Checkpoint
from stages.pipeline.stage import Choice, Program
from stages.pipeline.stages import Pipeline
from stages.run.fingerprint import fingerprint
from stages.run.job import Job
from stages.store.artifacts import Store
from stages.store.finished_draft import Published
from stages.store.inputs import check_inputs
from stages.store.manifest import COLLECTED, RUN
from stages.store.stat_cache import StatCache
from tests.project import PROJECT

NOBODY = 65534
CODE = Digest("c" * 32)
PIPELINE = Pipeline()


@cache
def code_of(program: str) -> Digest:
    """Fingerprint of a program's real code, without which its process does no job."""
    return fingerprint(f"stages.{program}", StatCache(Path(os.devnull)))


def payload_of(stage: str) -> str:
    """Name of the file that a stage makes."""
    return PIPELINE[stage].makes.payload


def build_node(stage: str = "encode", *, inputs: dict[str, Key] | None = None, **parameters: str | float) -> Node:
    """A node whose parameters are only those given."""
    return Node(stage=stage, parameters=parameters, components={"vae": "0" * 32}, inputs=inputs or {})


def build_chain(**parameters: str | float) -> tuple[Node, Node]:
    """An encode node and a denoise node that reads it."""
    encode = build_node("encode", **parameters)
    return encode, build_node("denoise", inputs={"encode": encode.key})


def build_job(  # noqa: PLR0917 (as Job itself would be called)
    node: Node, checkpoint: Checkpoint, store: Path, code: Digest, machine: Mapping[str, str], file: Path | None = None
) -> Job:
    """A job as doit would make it of a node of the built-in stages."""
    stage = PIPELINE[node.stage]
    producers = PIPELINE.producers(stage).items() if node.inputs else ()
    return Job(
        node=node,
        parameters=stage.complete(node.parameters),
        program=_program_of(node),
        makes=stage.makes,
        inputs={name: ArtifactId(producer.name, node.inputs[producer.name]) for name, producer in producers},
        rank=PIPELINE.names.index(node.stage),
        components=tuple(each for each in stage.components if each.name in node.components),
        checkpoint=checkpoint,
        store=store,
        code=code,
        machine=machine,
        from_file=file,
    )


def _program_of(node: Node) -> Program:
    """What makes the node; the first of several where its parameters do not choose one."""
    program = PIPELINE[node.stage].program
    if isinstance(program, Choice) and program.parameter not in node.parameters:
        return next(iter(program.programs.values()))
    return PIPELINE.program_of(node)


def publish(store: Store, node: Node, payload: bytes = b"payload", code: Digest = CODE) -> Published:
    """Put an artifact into the store the way a stage does."""
    name = payload_of(node.stage)
    with store.draft() as draft:
        inputs = check_inputs(store, node)
        (draft / name).write_bytes(payload)
        return store.publish(node, draft, payload=name, inputs=inputs, code=code, run={"host": "here"})


def collect(store: Store, node: Node) -> None:
    """Delete the payload of an artifact as `doit gc` does."""
    folder = store.folder(node.artifact)
    (folder / RUN).rename(folder / COLLECTED)
    store.payload(node.artifact).unlink()


def record(store: Store, node: Node) -> None:
    """Have an artifact known from a remote store alone, as a run puts it down."""
    collect(store, node)
    (store.folder(node.artifact) / COLLECTED).write_text('{"recorded_from": "s3://bucket"}')


def files_below(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def let_others_in(path: Path) -> None:
    """Have other users reach a test's folder: pytest keeps what is above it to its own user."""
    temporary = Path(tempfile.gettempdir())
    for folder in path.parents:
        if folder in (temporary, *temporary.parents):
            return
        folder.chmod(0o755)


@contextmanager
def acting_as_nobody(path: Path) -> Iterator[None]:
    """In the block, this process has no rights on files but those of everybody; `path` is in a test's folder."""
    let_others_in(path)
    if os.geteuid():
        yield  # it has none on a file with mode 0 as it is
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(os.getgid())


@contextmanager
def no_more_files() -> Iterator[None]:
    """In the block, this process can open no file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def as_another_user(user_id: int) -> list[str]:
    """What to put before a command so that another user runs it; skips the test where that cannot be."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() or setpriv is None:
        pytest.skip("only root can be another user, by setpriv")
    prefix = [setpriv, f"--reuid={user_id}", f"--regid={user_id}", "--clear-groups"]
    command = [*prefix, sys.executable, "-c", "import stages.keys"]
    if subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode:
        pytest.skip("another user can start neither this Python nor this checkout")
    return prefix
