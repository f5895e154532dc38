"""How a job gets its devices. Here is no accelerator: its files and the folder of the locks are those of a test."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from stages.errors import MeshError
from stages.machine.device_lock import hold_devices
from stages.machine.holder import Holder
from stages.models.checkpoint import Checkpoint
from stages.run import accelerator
from stages.run.accelerator import hold_accelerators, open_devices
from stages.run.job import Job
from stages.run.report import Report
from stages.run.runner import Event
from tests.builders import CODE, build_job, build_node

BOB = replace(Holder.here(), user="bob", host="tpu-2", process=7, since="2026-11-29T15:03:05")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return build_job(build_node(), Checkpoint(tmp_path), tmp_path, CODE, {"platform": "tpu"})


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the locks of a machine with two chips."""
    monkeypatch.setattr(accelerator, "find_device_files", lambda: ["/dev/accel0", "/dev/accel1"])
    monkeypatch.setattr(accelerator, "hold_devices", lambda names, wait: hold_devices(names, wait, folder=tmp_path))
    return tmp_path


@pytest.fixture
def bobs(locks: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of somebody who uses the second chip."""
    path = locks / "hunyuan-stages-tpu-1.lock"
    path.write_text(json.dumps(asdict(BOB)))
    with (
        path.open("rb") as file,
        subprocess.Popen(
            [sys.executable, "-S", "-c", "import fcntl, time; fcntl.flock(0, 2); print(flush=True); time.sleep(600)"],
            stdin=file,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        file.close()
        yield process
        process.kill()


@pytest.mark.usefixtures("bobs")
def test_who_does_not_wait_is_told_who_has_it(job: Job):
    with pytest.raises(MeshError) as error:
        hold_accelerators(replace(job, waits=False), Report(lambda _: None))
    assert str(error.value) == (
        "tpu-1 of this machine is in use by bob on tpu-2 (process 7, since 2026-11-29 15:03:05). "
        "Run it again when that has ended."
    )


def test_who_waits_shows_for_whom_and_then_says_that_it_has_them(job: Job, bobs: "subprocess.Popen[bytes]"):
    events: list[Event] = []

    def observe(event: Event) -> None:
        if not events:
            bobs.kill()
            bobs.wait()
        events.append(event)

    hold_accelerators(job, Report(observe))
    assert events == [
        {
            "event": "phase",
            "name": "waiting for tpu-1, which is in use by bob on tpu-2 (process 7, since 2026-11-29 15:03:05)",
        },
        {"event": "holding"},
    ]


@pytest.mark.usefixtures("bobs")
def test_a_cpu_is_not_waited_for(job: Job):
    events: list[Event] = []
    on_cpu = replace(job, machine={"platform": "cpu"}, waits=False)
    assert {device.platform for device in open_devices(on_cpu, Report(events.append))} == {"cpu"}
    assert events == []
