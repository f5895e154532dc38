"""Projects whose nodes are made by a fleet: tiny videos, by the real stages."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fleet.local_cluster import LocalCluster, cluster_environment
from tests.project import TINY, copy_project, set_defaults


def with_steps(number: int) -> str:
    """The tiny video, denoised in so many steps."""
    return TINY.replace("num_inference_steps = 2", f"num_inference_steps = {number}")


NUM_STEPS = 300  # so that what a test waits for in the middle is not over when it looks
LONG = with_steps(NUM_STEPS)
ENDLESS = with_steps(10000)  # of what is interrupted


def make_project(root: Path, cluster: LocalCluster, sweep: str = "", text: str = TINY, **settings: str) -> Path:
    """A project with the video `tiny`, or a sweep of this table, that is made on a cluster."""
    root.mkdir(parents=True, exist_ok=True)
    copy_project(root)
    (root / "params/videos/demo.toml").unlink()
    table = f"\n[sweep]\n{sweep}" if sweep else ""
    (root / "params/videos/tiny.toml").write_text(text + table, encoding="utf-8")
    set_defaults(root, "machine", **{"runner": "ray", "ray_address": cluster.address, **settings})
    return root


def start_doit(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A run of doit that can reach the cluster."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "doit", *arguments],
        cwd=root,
        env=cluster_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def started(root: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The same; it is killed at the end of the block."""
    with start_doit(root, *arguments) as process:
        yield process
        process.kill()


def run_doit(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """How a run of doit that can reach the cluster ended."""
    with start_doit(root, *arguments) as process:
        stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def count_made(*printed: str) -> Counter[str]:
    """How many nodes of each stage runs say that they have made."""
    lines = "\n".join(printed).splitlines()
    return Counter(line.split(":")[0] for line in lines if "  made in " in line)


def read_runs(store: Path, stage: str) -> list[dict[str, Any]]:
    """What run.json says of each artifact of a stage."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(store.glob(f"{stage}/*/run*.json"))]
