"""Jobs on a host that leaves, and on a slice: two nodes that Ray takes for its hosts, with virtual CPU devices."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stages.store.partial import PartialStates
from stages.tensors.files import read_tensors
from tests.fleet.local_cluster import LocalCluster, running_cluster, slice_hosts
from tests.fleet.projects import ENDLESS, count_made, make_project, read_runs, run_doit, started, with_steps
from tests.fleet.waiting import wait_for
from tests.project import set_defaults
from tests.several_hosts import host_environment

pytestmark = [pytest.mark.processes, pytest.mark.compiles, pytest.mark.fleet]
pytest.importorskip("ray", reason="the extra `fleet` is not installed")

NUM_STEPS = 100  # each takes longer than on one host
SEEDS = "denoise.seed = [1, 2]\n"
TOLERANCE = 1e-5  # float32, as of two hosts without Ray (tests/denoise/test_several_hosts.py)
_VARIABLES = ("XLA_FLAGS", "JAX_PLATFORMS")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A node without chips, and a slice of two hosts with two devices each."""
    with running_cluster(1, *slice_hosts("slice"), **devices(2)) as running:
        yield running


def devices(number: int) -> dict[str, str]:
    """The variables of a host with so many virtual devices."""
    every = host_environment(num_devices=number)
    return {name: every[name] for name in _VARIABLES}


def test_a_slice_makes_job_after_job_what_one_host_with_as_many_devices_makes(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = make_project(tmp_path / "fleet", cluster, SEEDS)
    result = run_doit(root)
    assert result.returncode == 0, result.stdout + result.stderr
    assert count_made(result.stdout) == {"encode": 1, "denoise": 2, "decode": 2, "export": 2}
    runs = read_runs(root / "artifacts", "denoise")
    assert [run["hosts"] for run in runs] == [2, 2]
    assert {run["number_in_process"] for run in runs} == {1, 2}
    one = make_project(tmp_path / "one", cluster, SEEDS)
    set_defaults(one, "machine", runner="local")
    for name, value in devices(4).items():
        monkeypatch.setenv(name, value)
    assert run_doit(one, "denoise").returncode == 0
    runs_of_one = read_runs(one / "artifacts", "denoise")
    assert [run["hosts"] for run in runs_of_one] == [1, 1]
    assert [run["mesh"] for run in runs_of_one] == [run["mesh"] for run in runs]
    for made, expected in zip(find_latents(root), find_latents(one), strict=True):
        assert made.parent.name == expected.parent.name
        np.testing.assert_allclose(
            read_tensors(made)["latents"], read_tensors(expected)["latents"], rtol=0, atol=TOLERANCE
        )


@pytest.mark.parametrize("is_remote", [False, True], ids=["one store", "stores of hosts"])
def test_when_a_host_of_a_slice_is_lost_all_are_given_up_and_the_denoise_goes_on(
    cluster: LocalCluster, tmp_path: Path, *, is_remote: bool
):
    shared = tmp_path / "shared"
    shared.mkdir()
    settings = {"remote": f"file://{shared}"} if is_remote else {}
    root = make_project(tmp_path / "one", cluster, text=with_steps(NUM_STEPS), checkpoint_every="1", **settings)
    store, logs = (shared, cluster.cache) if is_remote else (root / "artifacts", root)
    with started(root) as process:
        wait_for(lambda: [*store.glob("partial/denoise/*")])
        os.kill(find_actor(logs, rank=1), signal.SIGKILL)
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stdout + stderr
    assert stdout.count("has ended") == 1, stdout
    assert count_made(stdout) == {"encode": 1, "denoise": 1, "decode": 1, "export": 1}
    (run,) = read_runs(root / "artifacts", "denoise")
    assert run["hosts"] == 2
    assert 0 < run["resumed_after_step"] <= NUM_STEPS


def test_a_host_that_is_about_to_leave_saves_its_denoise_which_goes_on_elsewhere(tmp_path: Path):
    num_between = 500  # steps between two states, so that one after another number is due to the notice
    with running_cluster(0, {"num_cpus": 0}, {}) as cluster:
        root = make_project(tmp_path, cluster, text=ENDLESS, checkpoint_every=str(num_between))
        with started(root) as process:
            wait_for(lambda: count_steps(root))
            cluster.add()
            cluster.give_notice(1, 20)
            wait_for(lambda: count_steps(root) % num_between)
            num_saved = count_steps(root)
            cluster.end(1)
            wait_for(lambda: count_steps(root) > num_saved)
            process.kill()
            stdout, stderr = process.communicate()
    assert stdout.count("its host leaves the cluster") == 1, stdout + stderr
    assert f"It is made again; saved after step {num_saved}" in stdout, stdout


def count_steps(root: Path) -> int:
    """Of the state that is in the store; 0 where there is none."""
    states = PartialStates(root / "artifacts")
    facts = [states.read_facts(kept.artifact) or {} for kept in states.find_all()]
    return int(str(facts[0].get("num_done", 0))) if facts else 0


def find_latents(root: Path) -> list[Path]:
    return sorted(root.glob("artifacts/denoise/*/latents.safetensors"))


def find_actor(folder: Path, *, rank: int) -> int:
    """The process id of the actor that has the process of a host of the slice, whose log is below a folder."""
    logs = [path.resolve() for path in folder.glob("**/logs/denoise-*.log")]
    joined = {str(path) for path in logs if f"as host {rank}\n" in path.read_text(errors="replace")}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "fd/2").resolve()) in joined:
                found = re.search(r"^PPid:\s*(\d+)", (process / "status").read_text(), re.MULTILINE)
                assert found
                return int(found[1])
        except OSError:
            continue
    raise AssertionError(f"no process of host {rank}")
