"""24 videos on three nodes while processes are killed at random: all are finished, and nothing is made twice."""

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.fleet.local_cluster import LocalCluster
from tests.fleet.projects import count_made, make_project, read_runs, run_doit, started, with_steps
from tests.fleet.waiting import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.fleet, pytest.mark.faults]

NUM_VIDEOS, NUM_STEPS, NUM_KILLS = 24, 2500, 20
SEED = 27
_BETWEEN_S = (2.0, 8.0)  # two kills
_STAGE = re.compile(r"/logs/(\w+)-[^/]*\.log$")


def test_twenty_kills_of_stages_and_actors_cost_nothing_that_was_finished(cluster: LocalCluster, tmp_path: Path):
    sweep = f'denoise.seed = "1..{NUM_VIDEOS}"\n'
    root = make_project(
        tmp_path, cluster, sweep, text=with_steps(NUM_STEPS), checkpoint_every="50", preview_every="never"
    )
    start = time.monotonic()
    with started(root, "--continue") as process:
        killed = kill_at_random(root, process)
        stdout, stderr = process.communicate()
    wall_s = time.monotonic() - start
    again = run_doit(root)  # what three kills have hit fails, and is made by the next run
    made = count_made(stdout, again.stdout)
    runs = read_runs(root / "artifacts", "denoise")
    resumed = [run["resumed_after_step"] for run in runs if run["resumed_after_step"]]
    print(f"{wall_s:.0f} s, {dict(killed)} killed, {stdout.count('It is made again')} made again, resumed {resumed}")
    assert killed.total() == NUM_KILLS
    assert resumed
    assert again.returncode == 0, stdout + stderr + again.stdout + again.stderr
    assert made == {"encode": 1, "denoise": NUM_VIDEOS, "decode": NUM_VIDEOS, "export": NUM_VIDEOS}
    assert len([*root.glob("artifacts/videos/*.mp4")]) == NUM_VIDEOS


def kill_at_random(root: Path, process: "subprocess.Popen[str]") -> Counter[str]:
    """Kill stages' processes, and actors that have one, while the run lasts; how many of which."""
    draw, killed = random.Random(SEED), Counter[str]()  # noqa: S311 (for moments)
    while killed.total() < NUM_KILLS and process.poll() is None:
        time.sleep(draw.uniform(*_BETWEEN_S))
        victims: dict[int, str] = {}
        wait_for(lambda victims=victims: victims.update(find_stages(root)) or victims or process.poll() is not None)
        if not victims:
            break
        if "encode" in victims.values() and any(name.startswith("encode") for name in killed):
            continue  # there is one such node, and one that is hit three times fails, as it should
        victim, is_actor = draw.choice(sorted(victims)), draw.random() < 1 / 2
        try:
            os.kill(parent_of(victim) if is_actor else victim, signal.SIGKILL)
        except OSError:
            continue  # it has ended meanwhile
        killed[f"{victims[victim]} {'actor' if is_actor else 'process'}"] += 1
    return killed


def find_stages(root: Path) -> dict[int, str]:
    """Stages' processes of a project, by their process ids: the names of their stages."""
    logs, found = str((root / "artifacts").resolve()), {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            log = str((process / "fd/2").readlink())
        except OSError:
            continue
        if log.startswith(logs) and (name := _STAGE.search(log)):
            found[int(process.name)] = name[1]
    return found


def parent_of(process_id: int) -> int:
    """The process that has started another one. Raises OSError: it has ended."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(re.findall(r"^PPid:\s*(\d+)", status, re.MULTILINE)[0])
