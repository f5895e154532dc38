"""Two hosts of four devices each denoise as one of eight does, and each reads only the weights that it holds."""

import json
import shutil
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest

from stages.machine.executables import FOLDER
from stages.run.job import Job
from stages.tensors.files import read_tensors
from tests.builders import code_of
from tests.denoise.builders import EIGHT_HEADS
from tests.denoise.eight_devices import HOSTS_LAYOUT
from tests.denoise.jobs import denoise_job, latents_file, write_whole_checkpoint
from tests.several_hosts import free_port, host_environment, run_on_hosts
from tests.stage_process import Event, StageProcess

pytestmark = pytest.mark.compiles

TOLERANCE = 1e-5  # float32; measured for the whole stage: equal to the bit
HOSTS = range(2)
_WAIT_S = 300  # far above what the jobs need; then the processes are killed


@pytest.fixture(scope="module")
def two(eight_heads: Path, tmp_path_factory: pytest.TempPathFactory):
    """Latents and sizes of each of two hosts."""
    port = free_port()
    outs = [tmp_path_factory.mktemp("out") / "latents.npz" for _ in HOSTS]
    program = ["stages.denoise", "tests.denoise.eight_devices", str(eight_heads)]
    arguments = [[*program, str(outs[index]), f"localhost:{port} {index}/2"] for index in HOSTS]
    results = run_on_hosts("tests.lean_program", arguments, [host_environment(num_devices=4)] * 2)
    assert [result.returncode for result in results] == [0, 0], results[0].stderr + results[1].stderr
    latents = [dict(np.load(out)) for out in outs]
    # the library by which hosts talk prints, too
    return latents, [
        [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")] for result in results
    ]


def test_two_hosts_of_four_devices_give_what_one_of_eight_gives(two, eight):
    for latents in two[0]:
        np.testing.assert_allclose(latents[HOSTS_LAYOUT], eight[0][HOSTS_LAYOUT], rtol=0, atol=TOLERANCE)


def test_each_of_two_hosts_reads_half_of_the_matrices(two):
    for (sizes,) in two[1]:
        assert sizes["read"] <= sizes["here"]  # a vector is whole on each device and read once
        # Vectors, and matrices with no side that divides, are on both: a hundredth of this toy.
        assert 1 / 2 < sizes["read"] / sizes["whole"] < 1 / 2 + 0.02


class TwoHosts:
    """The stage's process on each of two hosts, and what their jobs are made of."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self.folder = folder
        self.checkpoint = write_whole_checkpoint(folder / "checkpoint", EIGHT_HEADS)
        environment = host_environment(num_devices=4)
        self._processes = [StageProcess("denoise", folder / f"log-{host}", environment) for host in HOSTS]

    def facts(self, store: str) -> dict[str, Any]:
        """What run.json says."""
        return json.loads(latents_file(self.folder / store).with_name("run.json").read_text())

    def run(self, *stores: str, checkpoints: Sequence[Path] = (), **changes: Any) -> list[Event]:
        """How a job ends on each host, with a store and perhaps a checkpoint of its own."""
        jobs = self._jobs(stores, checkpoints, **changes)
        code_of("denoise")  # known before there are threads: Python 3.11's `ast` is not for several at a time
        with ThreadPoolExecutor() as pool:
            return [events[-1] for events in pool.map(StageProcess.run, self._processes, jobs)]

    def interrupt(self, *stores: str, step: int, **changes: Any) -> None:
        """Begin a job, and end both processes after a step, host 0 by SIGTERM."""
        jobs = self._jobs(stores, **changes)
        code_of("denoise")
        streams = [process.begin(job) for process, job in zip(self._processes, jobs, strict=True)]
        for event in streams[0]:
            if event["event"] == "progress" and event["unit"] == "step" and event["done"] == step:
                break
        self._processes[0].signal(signal.SIGTERM)
        assert self._processes[0].wait() == 1
        self.kill()
        self.close()

    def _jobs(self, stores: Sequence[str], checkpoints: Sequence[Path] = (), **changes: Any) -> list[Job]:
        return [
            denoise_job(
                checkpoints[host] if checkpoints else self.checkpoint,
                self.folder / stores[host],
                machine={"hosts": f"localhost:{self._port} {host}/2"},
                **({"num_frames": 5} | changes),
            )
            for host in HOSTS
        ]

    def latents(self, store: str) -> bytes:
        return latents_file(self.folder / store).read_bytes()

    def close(self) -> None:
        """Both at once: a process that leaves waits for the other."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(StageProcess.close, self._processes))

    def kill(self) -> None:
        for process in self._processes:
            process.kill()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHosts]:
    """Two hosts that have made an artifact, each in a store of its own."""
    hosts = TwoHosts(tmp_path_factory.mktemp("hosts"))
    alarm = Timer(_WAIT_S, hosts.kill)
    alarm.start()
    try:
        events = hosts.run("first", "second")
        assert [event["event"] for event in events] == ["result", "result"], events
        yield hosts
    finally:
        hosts.close()
        alarm.cancel()


def test_the_stage_on_two_hosts_makes_what_it_makes_on_one(hosts: TwoHosts, tmp_path: Path):
    alone = StageProcess("denoise", tmp_path / "log", host_environment(num_devices=8))
    alone.run(denoise_job(hosts.checkpoint, hosts.folder / "alone", num_frames=5))
    alone.close()
    files = {name: latents_file(hosts.folder / name) for name in ("alone", "first")}
    runs = {name: json.loads(file.with_name("run.json").read_text()) for name, file in files.items()}
    assert [(run["hosts"], run["mesh"]) for run in runs.values()] == [
        (num_hosts, {"cfg": 2, "sequence": 4, "heads": 1}) for num_hosts in (1, 2)
    ]
    expected, made = (read_tensors(file)["latents"] for file in files.values())
    np.testing.assert_allclose(made, expected, rtol=0, atol=TOLERANCE)


def test_two_hosts_publish_equal_bytes_in_a_store_of_each(hosts: TwoHosts):
    assert hosts.latents("first") == hosts.latents("second")


def test_fresh_processes_of_two_hosts_load_the_step_that_was_kept(hosts: TwoHosts, tmp_path: Path):
    fresh = TwoHosts(tmp_path)
    for store in ("first", "second"):
        shutil.copytree(hosts.folder / store / FOLDER, tmp_path / store / FOLDER)
    alarm = Timer(_WAIT_S, fresh.kill)
    alarm.start()
    try:
        events = fresh.run("first", "second")
    finally:
        fresh.close()
        alarm.cancel()
    assert [event["event"] for event in events] == ["result", "result"], events
    for store in ("first", "second"):
        assert not hosts.facts(store)["was_loaded"]
        assert fresh.facts(store)["was_loaded"]
        assert fresh.latents(store) == hosts.latents(store)


@pytest.mark.faults
def test_two_hosts_go_on_after_the_step_that_host_0_has_saved(hosts: TwoHosts, tmp_path: Path):
    stores = ("first", "second")
    hosts.run("whole-0", "whole-1", num_inference_steps=6)
    for step, last in ((2, False), (4, False), (6, True)):
        fresh = TwoHosts(tmp_path)
        alarm = Timer(_WAIT_S, fresh.kill)
        alarm.start()
        try:
            if last:
                events = fresh.run(*stores, num_inference_steps=6)
            else:
                fresh.interrupt(*stores, step=step, num_inference_steps=6)
        finally:
            alarm.cancel()
    fresh.close()
    assert [event["event"] for event in events] == ["result", "result"], events
    for store in stores:
        assert fresh.latents(store) == hosts.latents("whole-0")
        assert (fresh.facts(store)["resumed_after_step"], fresh.facts(store)["num_pieces"]) == (4, 3)
        assert list((tmp_path / store).glob("partial/*/*")) == []
    assert not (tmp_path / "second" / "partial").exists()  # one writes


def test_two_hosts_publish_equal_bytes_in_one_store(hosts: TwoHosts):
    events = hosts.run("shared", "shared")
    assert sorted(str(event["is_same_as_before"]) for event in events) == ["None", "True"]
    assert hosts.latents("shared") == hosts.latents("first")


def test_weights_that_one_host_lacks_are_reported_on_both(hosts: TwoHosts, tmp_path: Path):
    lacking = tmp_path / "checkpoint"
    shutil.copytree(hosts.checkpoint, lacking)
    (lacking / "transformer/diffusion_pytorch_model.safetensors").unlink()
    first, second = hosts.run("third", "fourth", checkpoints=[hosts.checkpoint, lacking])
    assert second["message"] == (
        f"{lacking}/transformer: would read diffusion_pytorch_model.safetensors, or an index of shards, and holds "
        "neither. There is config.json. The component is incomplete: download or copy it again."
    )
    title = first["message"].partition(": ")[0]
    assert first["message"] == f"{title}: host 1 cannot take part. It says: CheckpointError: {second['message']}"
