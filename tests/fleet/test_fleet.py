"""Nodes made on a cluster of three nodes on this machine: the real Ray, the real stages, tiny videos."""

import os
import re
import signal
from pathlib import Path

import pytest

from stages.errors import FleetError
from stages.fleet import fleet
from stages.fleet.fleet import require_ray
from tests.fleet.local_cluster import LocalCluster
from tests.fleet.projects import LONG, NUM_STEPS, count_made, make_project, read_runs, run_doit, started
from tests.fleet.waiting import wait_for
from tests.project import ALL

pytestmark = [pytest.mark.processes, pytest.mark.fleet]

SEEDS = "denoise.seed = [1, 2, 3, 4]\n"


def test_without_ray_a_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fleet, "find_spec", lambda _name: None)
    with pytest.raises(FleetError, match=re.escape("pip install 'hunyuan-stages[fleet]'")):
        require_ray()


def test_a_sweep_is_made_once_each_by_several_processes_and_a_second_run_makes_nothing(
    cluster: LocalCluster, tmp_path: Path
):
    root = make_project(tmp_path, cluster, SEEDS)
    first = run_doit(root)
    assert first.returncode == 0, first.stdout + first.stderr
    assert count_made(first.stdout) == {"encode": 1, "denoise": 4, "decode": 4, "export": 4}
    assert len([*root.glob("artifacts/logs/denoise-*.log")]) > 1
    assert len([*root.glob("artifacts/videos/*.mp4")]) == 4
    second = run_doit(root)
    assert (second.returncode, count_made(second.stdout)) == (0, {})


def test_a_worker_that_is_killed_in_each_stage_is_replaced_and_a_denoise_goes_on(cluster: LocalCluster, tmp_path: Path):
    root = make_project(tmp_path, cluster, text=LONG, checkpoint_every="1")
    with started(root) as process:
        for stage in ALL:
            sign = "partial/denoise/*/state" if stage == "denoise" else f"logs/{stage}-*.log"
            wait_for(lambda sign=sign: [*root.glob(f"artifacts/{sign}")])
            kill_worker(root, stage)
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stdout + stderr
    assert count_made(stdout) == dict.fromkeys(ALL, 1)
    assert stdout.count("has ended") == len(ALL), stdout
    (run,) = read_runs(root / "artifacts", "denoise")
    assert 0 < run["resumed_after_step"] <= NUM_STEPS


def test_two_runs_on_one_store_make_each_node_once(cluster: LocalCluster, tmp_path: Path):
    root = make_project(tmp_path, cluster, SEEDS)
    with started(root) as one, started(root) as other:
        printed = [process.communicate() for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], printed
    assert count_made(*(stdout for stdout, _ in printed)) == {"encode": 1, "denoise": 4, "decode": 4, "export": 4}


def test_two_runs_with_stores_of_their_own_share_a_remote_store_and_make_each_node_once(
    cluster: LocalCluster, tmp_path: Path
):
    pytest.importorskip("obstore", reason="the extra `remote` is not installed")
    shared = tmp_path / "shared"
    shared.mkdir()
    roots = [make_project(tmp_path / name, cluster, SEEDS, remote=f"file://{shared}") for name in ("one", "other")]
    with started(roots[0]) as one, started(roots[1]) as other:
        printed = [process.communicate() for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], printed
    assert count_made(*(stdout for stdout, _ in printed)) == {"encode": 1, "denoise": 4, "decode": 4, "export": 4}
    videos = [sorted(path.read_bytes() for path in root.glob("artifacts/videos/*.mp4")) for root in roots]
    assert len(videos[0]) == 4
    assert videos[0] == videos[1]
    for root in roots:  # of all but videos, only what they are
        assert not [*root.glob("artifacts/*/*/*.safetensors")]
    assert not [*shared.glob("claims/*/*/*")]


def test_a_video_that_is_stopped_is_saved_and_the_others_are_made(cluster: LocalCluster, tmp_path: Path):
    root = make_project(tmp_path, cluster, "denoise.num_inference_steps = [2, 10000]\n", checkpoint_every="10")
    with started(root, "--continue") as process:
        wait_for(lambda: [*root.glob("artifacts/partial/denoise/*/state")])
        stopped = run_doit(root, "stop", "tiny-2")
        stdout, stderr = process.communicate()
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "saved after step" in stopped.stdout
    assert process.returncode == 1, stdout + stderr
    assert count_made(stdout) == {"encode": 1, "denoise": 1, "decode": 1, "export": 1}
    assert [*root.glob("artifacts/partial/denoise/*/state")]


def test_a_denoise_whose_host_is_lost_goes_on_from_its_state_on_the_remote_store(cluster: LocalCluster, tmp_path: Path):
    pytest.importorskip("obstore", reason="the extra `remote` is not installed")
    shared = tmp_path / "shared"
    shared.mkdir()
    root = make_project(tmp_path / "one", cluster, text=LONG, checkpoint_every="1", remote=f"file://{shared}")
    with started(root) as process:
        wait_for(lambda: [*shared.glob("partial/denoise/*")])
        kill_worker(cluster.cache, "denoise")
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stdout + stderr
    assert "it goes on from the state that is on the remote store" in stdout
    (run,) = read_runs(root / "artifacts", "denoise")
    assert 0 < run["resumed_after_step"] <= NUM_STEPS
    assert not [*shared.glob("partial/denoise/*")]


def test_a_host_with_other_code_is_refused(cluster: LocalCluster, tmp_path: Path):
    root = make_project(tmp_path, cluster)
    assert run_doit(root, "encode").returncode == 0  # the code has travelled
    edges = cluster.find("stages/decode/edge.py")
    assert edges
    before = edges[0].read_text(encoding="utf-8")
    try:
        for edge in edges:
            edge.write_text(f"{before}\nOTHER = 1\n", encoding="utf-8")
        result = run_doit(root)
    finally:
        for edge in edges:
            edge.write_text(before, encoding="utf-8")
    assert result.returncode == 1
    assert "has other code of stages.decode" in result.stdout
    assert count_made(result.stdout) == {"denoise": 1}


def test_a_cluster_has_a_status(cluster: LocalCluster, tmp_path: Path):
    result = run_doit(make_project(tmp_path, cluster), "fleet", "status")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith(f"Ray cluster at {cluster.address}, 3 hosts\n")


def test_where_no_cluster_is_one_message_says_so(cluster: LocalCluster, tmp_path: Path):
    result = run_doit(make_project(tmp_path, cluster), "machine.ray_address=127.0.0.1:9")
    assert result.returncode == 1
    assert (result.stdout + result.stderr).strip() == (
        'FleetError: ray_address = "127.0.0.1:9": nobody answers there. Start one with `ray start --head`, or name its '
        "head in params/machine.toml (docs/fleet.md)."
    )


def kill_worker(folder: Path, stage: str) -> None:
    """Kill the actor whose process makes a stage, once there is one, with its log below a folder."""
    found: list[int] = []

    def find() -> bool:
        logs = [str(path.resolve()) for path in folder.glob(f"**/logs/{stage}-*.log")]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = str((process / "fd/2").resolve()) in logs
                parent = re.search(r"^PPid:\s*(\d+)", (process / "status").read_text(), re.MULTILINE)
            except OSError:
                continue
            if is_ours and parent:
                found.append(int(parent[1]))
        return bool(found)

    wait_for(find)
    os.kill(found[0], signal.SIGKILL)
