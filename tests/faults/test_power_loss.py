"""Whatever was not synced when the power was lost: the store calls nothing fresh that is not whole.

The states are those of a model (power_loss.py), of what the real store calls while it publishes; no device is involved,
and nothing is said of disks that acknowledge a sync and do not keep it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.store.artifacts import Store
from tests.builders import CODE
from tests.faults.power_loss import Call, Disk, read_record, replay_all, write_state
from tests.faults.publishing import CHAIN, PAYLOADS, find_wrong
from tests.faults.shim import Shim
from tests.project import PROJECT

pytestmark = pytest.mark.processes

_RECORDED = """
import json, sys
from pathlib import Path
from stages.store.artifacts import Store
from tests.builders import publish
from tests.faults.publishing import CHAIN, PAYLOADS
store = Store(Path(sys.argv[1]))
for node in CHAIN:
    publish(store, node, PAYLOADS[node.stage])
    (store.root / f"{node.stage}.told").symlink_to("x")  # a person has read now that it was made
store.forget(CHAIN[1].artifact)
publish(store, CHAIN[1], PAYLOADS["denoise"])
(store.root / "again.told").symlink_to("x")
"""


@pytest.fixture
def calls(shim: Shim, tmp_path: Path) -> list[Call]:
    """What publishing two nodes, and one of them again, calls; the store's folder is there before."""
    record = tmp_path / "record"
    variables = {**os.environ, **shim.variables(record), "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", _RECORDED, str(shim.folder)]
    subprocess.run(command, env=variables, cwd=PROJECT, check=True)
    return read_record(record)


def test_a_record_replayed_without_a_loss_is_what_was_written(calls: list[Call], shim: Shim, tmp_path: Path):
    *_, (_, disk) = replay_all(calls, shim.folder)
    *_, everything = disk.states(0, seed=0)
    (tmp_path / "copy").mkdir()
    write_state(everything, tmp_path / "copy")
    for node in CHAIN:
        assert Store(tmp_path / "copy").payload(node.artifact).read_bytes() == PAYLOADS[node.stage]
    shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("number", [2, pytest.param(200, marks=pytest.mark.faults)])
def test_no_loss_of_power_leaves_a_fresh_artifact_that_is_not_whole(
    calls: list[Call], shim: Shim, tmp_path: Path, number: int
):
    wrong, num_states, num_fresh = [], 0, 0
    for index, (call, disk) in enumerate(replay_all(calls, shim.folder)):
        for state in disk.states(number, seed=index):
            folder = tmp_path / "lost"
            folder.mkdir()
            write_state(state, folder)
            store = Store(folder)
            num_states += 1
            num_fresh += sum(store.verdict(node, CODE).is_fresh for node in CHAIN)
            wrong += [f"after call {index}, {call.kind} {call.path}: {stage}" for stage in find_wrong(store)]
            shutil.rmtree(folder)
    assert wrong == []
    assert num_states > 100
    assert num_fresh > 10


def test_what_a_person_was_told_is_made_survives_every_loss_of_power(calls: list[Call], shim: Shim, tmp_path: Path):
    told: list[str] = []
    lost = []
    for index, (call, disk) in enumerate(replay_all(calls, shim.folder)):
        if call.kind == "symlink":
            told.append(Path(call.path).stem)
        if call.kind == "unlink" or not told or call.path.endswith(".told"):
            continue
        folder = tmp_path / "lost"
        folder.mkdir()
        nothing_unsynced = next(iter(disk.states(0, seed=0)))
        write_state(nothing_unsynced, folder)
        present = [node.stage for node in CHAIN if Store(folder).verdict(node, CODE).state in ("fresh", "forgotten")]
        lost += [f"after call {index}, {call.kind} {call.path}: {stage}" for stage in told if stage not in present]
        shutil.rmtree(folder)
    assert lost == []


def test_a_writer_that_does_not_sync_is_caught():
    """The model itself: without a sync, a rename may be durable before the bytes are."""
    disk = Disk(Path("/s"))
    for call in (
        Call("create", "/s/draft"),
        Call("write", "/s/draft", data=b"payload"),
        Call("rename", "/s/draft", "/s/final"),
        Call("sync", "/s"),
    ):
        disk.replay(call)
    assert [*disk.states(0, seed=0)] == [{"final": b""}, {"final": b""}, {"final": b"payload"}]
