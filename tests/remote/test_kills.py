"""Pushes, pulls and collectors are killed at random: nothing half-made counts, and the next goes on where it was."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.remote.catalog import Catalog
from stages.remote.layout import name_parts, size_of_part
from stages.store.artifacts import Store
from stages.store.inventory import list_artifacts
from tests.builders import CODE, build_node, publish
from tests.project import PROJECT, environment
from tests.remote.shared import open_folder

pytestmark = pytest.mark.processes
A_FEW, MANY = 3, 60
KILLED_SHARE = 0.7
AGES_S = (0.0, 7200.0, 2 * 86_400.0, 40 * 86_400.0)  # between two rounds; the grace time is an hour, the age 30 days
PAYLOADS = [bytes([number]) * 200_000 for number in range(3)]
NODES = [build_node(prompt=str(number)) for number in range(len(PAYLOADS))]


@pytest.fixture
def full(tmp_path: Path) -> Store:
    store = Store(tmp_path / "full")
    for node, payload in zip(NODES, PAYLOADS, strict=True):
        publish(store, node, payload)
    return store


def start(kind: str, store: Path, folder: Path) -> "subprocess.Popen[str]":
    """A transfer that has begun."""
    process = launch(kind, store, folder)
    wait_for_begin(process)
    return process


def launch(kind: str, store: Path, folder: Path) -> "subprocess.Popen[str]":
    """The process of a transfer."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.remote.killed_transfer", kind, str(store), str(folder)],
        cwd=PROJECT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for_begin(process: "subprocess.Popen[str]") -> None:
    """Return when a transfer has begun."""
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"


def finish(process: "subprocess.Popen[str]") -> None:
    """Wait for its end. `communicate` with a time limit would not see what came together with the first line."""
    with process:
        assert process.stdout is not None
        assert process.stdout.read() == "done\n"
    assert process.returncode == 0


def kill_at_random(kind: str, store: Path, folder: Path, number: int, *, seed: int, took_s: float) -> Iterator[bool]:
    """Kill so many transfers, each further on than the one before; whether each was killed before its end."""
    draw = random.Random(seed)  # noqa: S311 (moments are no secret)
    for _ in range(number):
        process = start(kind, store, folder)
        time.sleep(draw.uniform(0, took_s / 2))
        process.kill()
        was_killed = process.wait(60) != 0
        took_s = took_s if was_killed else took_s / 2  # the machine was busy when that was measured
        yield was_killed
        assert process.stdout is not None
        process.stdout.close()


def measure(kind: str, store: Path, folder: Path) -> float:
    """Seconds that a whole transfer takes, once its process has begun it."""
    process = start(kind, store, folder)
    began = time.monotonic()
    finish(process)
    return time.monotonic() - began


def require_payloads(folder: Path) -> None:
    """Whatever a reader sees has its payload."""
    bucket = open_folder(folder)
    catalog = Catalog(bucket)
    for name in catalog.names():
        found = catalog.read(name)
        assert found is not None
        manifest, part_bytes = found.entry.manifest, found.entry.part_bytes
        for index, part in enumerate(name_parts(manifest, part_bytes, found.entry.copy)):
            assert (folder / part).stat().st_size == size_of_part(manifest, index, part_bytes)


def check_kills_of_a_push(full: Store, tmp_path: Path, number: int) -> None:
    folder, num_killed, before = tmp_path / "there", 0, 0
    for path in (folder, tmp_path / "measured"):
        path.mkdir()
    took_s = measure("push", full.root, tmp_path / "measured")
    for was_killed in kill_at_random("push", full.root, folder, number, seed=1, took_s=took_s):
        num_killed += was_killed
        require_payloads(folder)
        now = len([*folder.glob("payloads/*/*")])
        assert now >= before
        before = now
        if len(Catalog(open_folder(folder)).names()) == len(NODES):  # all is there: from the beginning
            shutil.rmtree(folder)
            folder.mkdir()
            before = 0
    assert num_killed >= number // 3
    finish(start("push", full.root, folder))
    require_payloads(folder)
    assert len(Catalog(open_folder(folder)).names()) == len(NODES)


def check_kills_of_a_pull(full: Store, tmp_path: Path, number: int) -> None:
    folder, here, num_killed = tmp_path / "there", Store(tmp_path / "here"), 0
    folder.mkdir()
    finish(start("push", full.root, folder))
    took_s = measure("pull", tmp_path / "measured", folder)
    for was_killed in kill_at_random("pull", here.root, folder, number, seed=2, took_s=took_s):
        num_killed += was_killed
        if require_whole(here) == len(NODES):
            shutil.rmtree(here.root)
    assert num_killed >= number // 3
    finish(start("pull", here.root, folder))
    assert require_whole(here) == len(NODES)
    assert [here.payload(node.artifact).read_bytes() for node in NODES] == PAYLOADS


def require_whole(store: Store) -> int:
    """Whatever is in a store is fresh, by its bytes; how many there are."""
    fresh, found = Store(store.root), [*list_artifacts(store.root)]
    for _, artifact in found:
        node = next(node for node in NODES if node.artifact == artifact)
        assert fresh.verdict(node, CODE).is_fresh
        assert fresh.payload(artifact).read_bytes() == PAYLOADS[NODES.index(node)]
    return len(found)


def test_a_few_kills_of_a_push_leave_no_artifact_without_its_payload(full: Store, tmp_path: Path):
    check_kills_of_a_push(full, tmp_path, A_FEW)


def test_a_few_kills_of_a_pull_leave_no_half_artifact(full: Store, tmp_path: Path):
    check_kills_of_a_pull(full, tmp_path, A_FEW)


def age(folder: Path, seconds: float) -> None:
    """All objects have become so much older."""
    for path in folder.rglob("*"):
        if path.is_file():
            older = path.stat().st_mtime - seconds
            os.utime(path, (older, older))


def disturb(full: Store, here: Store, folder: Path, draw: random.Random, took_s: float) -> int:
    """Push, pull and collect twice at a time, and kill some of them; how many were killed."""
    kinds = [("collect", here), ("collect", here), ("push", full), ("pull", here)]
    processes = [launch(kind, store.root, folder) for kind, store in draw.sample(kinds, len(kinds))]
    for process in processes:
        wait_for_begin(process)
    began, num_killed = time.monotonic(), 0
    for process in draw.sample(processes, len(processes)):
        if draw.random() < KILLED_SHARE:
            time.sleep(max(began + draw.uniform(0, took_s) - time.monotonic(), 0))
            process.kill()
        with process:
            assert process.stdout is not None
            printed = process.stdout.read()
        was_killed = process.returncode == -signal.SIGKILL
        assert was_killed or (process.returncode, printed) == (0, "done\n")
        num_killed += was_killed
    return num_killed


@pytest.mark.faults
def test_two_collectors_a_push_and_a_pull_at_a_time_and_killed_leave_whole_artifacts(full: Store, tmp_path: Path):
    folder, here, draw = tmp_path / "there", Store(tmp_path / "here"), random.Random(3)  # noqa: S311 (as above)
    folder.mkdir()
    took_s, num_killed, num_pulled = measure("push", full.root, folder), 0, 0
    while num_killed < MANY:
        age(folder, draw.choice(AGES_S))
        num_killed += disturb(full, here, folder, draw, took_s)
        require_payloads(folder)
        num_here = require_whole(here)
        if num_here == len(NODES):
            shutil.rmtree(here.root)
            num_pulled += num_here
    assert num_pulled
    finish(start("push", full.root, folder))
    for _ in range(3):
        age(folder, 40 * 86_400.0)
        finish(start("collect", here.root, folder))
    left = (path.name for path in folder.rglob("*") if path.is_file())
    assert not [name for name in left if ".collected-" not in name and "#" not in name]  # a file that was cut has a #
    finish(start("push", full.root, folder))
    finish(start("pull", here.root, folder))
    assert [here.payload(node.artifact).read_bytes() for node in NODES] == PAYLOADS


@pytest.mark.faults
def test_many_kills_of_a_push_leave_no_artifact_without_its_payload(full: Store, tmp_path: Path):
    check_kills_of_a_push(full, tmp_path, MANY)


@pytest.mark.faults
def test_many_kills_of_a_pull_leave_no_half_artifact(full: Store, tmp_path: Path):
    check_kills_of_a_pull(full, tmp_path, MANY)
