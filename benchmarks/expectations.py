"""Expected against actual seconds of a second run on one machine.

    python -m benchmarks.expectations

Builds six videos of the built-in checkpoint in a new project, of several sizes, lengths and numbers of steps. Then
changes all of them (seeds, one prompt, one number of steps), asks `doit explain --json` what that takes, and builds
them again. Prints, for each node, each video and all, the seconds that were expected and those that it took by the
clock of whoever watches; and the median factor between the two. Both runs should find the machine equally busy.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.project import Tables, demo_tables, environment, run_doit, write_project

_BEGINS = re.compile(r"(?P<title>\w+:[0-9a-f]{12})  .* \(.*\)\n")
_ENDS = re.compile(r"(?P<title>\w+:[0-9a-f]{12})  made in ")
_LEAST_S = 0.001  # of a time, so that it can be divided by


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    print(f"load of the machine: {' '.join(f'{load:.1f}' for load in os.getloadavg())}")
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder), videos(seed=1, prompt="A red circle moves to the right.", steps=60))
        run_doit(Path(folder), is_quiet=True)
        write_project(Path(folder), videos(seed=2, prompt="A blue square moves up.", steps=40))
        expected = explain(Path(folder))
        actual, total_s = watch(Path(folder))
    print(f"load of the machine: {' '.join(f'{load:.1f}' for load in os.getloadavg())}")
    report(expected, actual, total_s)


def videos(*, seed: int, prompt: str, steps: int) -> dict[str, Tables]:
    """Six videos; of three the sizes differ, of one the steps, of one the prompt."""
    demo = demo_tables()

    def video(prompt: str, **denoise: Any) -> Tables:
        own = {**demo["denoise"], "seed": seed, **denoise}
        return {**demo, "encode": {**demo["encode"], "prompt": prompt}, "denoise": own}

    return {
        "prompt": video(prompt),
        "green": video("A green triangle moves to the left."),
        "short": video("A yellow circle stays still.", num_frames=5),
        "small": video("A purple circle moves down.", height=64, width=64),
        "long": video("A cyan square moves down.", num_frames=17),
        "steps": video("A cyan square moves up.", num_inference_steps=steps),
    }


def explain(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """The nodes that are to run, by the title of their tasks."""
    command = [sys.executable, "-m", "doit", "explain", "--json"]
    text = subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True, text=True).stdout  # noqa: S603 (no shell)
    return {f"{node['stage']}:{node['key'][:12]}": node for node in json.loads(text)["nodes"] if node["runs"]}


def watch(folder: Path) -> tuple[Mapping[str, float], float]:
    """Seconds of each node of a run, between the lines by which doit begins and ends it; and those of all."""
    began, took, start = dict[str, float](), dict[str, float](), time.perf_counter()
    variables = environment() | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "doit"]
    with subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (no shell)
        assert process.stdout is not None
        for line in process.stdout:
            if match := _ENDS.match(line):
                took[match["title"]] = time.perf_counter() - began[match["title"]]
            elif match := _BEGINS.fullmatch(line):
                began[match["title"]] = time.perf_counter()
    assert process.returncode == 0
    return took, time.perf_counter() - start


def report(expected: Mapping[str, Mapping[str, Any]], actual: Mapping[str, float], total_s: float) -> None:
    """Print all, and the median factors."""
    assert expected.keys() == actual.keys()
    of_videos: dict[str, tuple[float, float]] = {}
    factors = []
    for title, node in expected.items():
        video, expected_s, actual_s = node["videos"][0], node["expected_s"], actual[title]
        factors.append(factor(expected_s, actual_s))
        before = of_videos.get(video, (0.0, 0.0))
        of_videos[video] = before[0] + expected_s, before[1] + actual_s
        print(f"{title:<22} {video:<8} {expected_s:8.2f} {actual_s:8.2f} {factors[-1]:6.2f}  {node['expected_from']}")
    for video, (expected_s, actual_s) in of_videos.items():
        print(f"{video:<31} {expected_s:8.2f} {actual_s:8.2f} {factor(expected_s, actual_s):6.2f}")
    all_s = sum(seconds for seconds, _ in of_videos.values())
    print(f"{'all, with what doit itself takes':<31} {all_s:7.2f} {total_s:8.2f} {factor(all_s, total_s):6.2f}")
    print(f"median factor of nodes: {median(factors):.2f}, of videos: ", end="")
    print(f"{median(factor(*seconds) for seconds in of_videos.values()):.2f}")


def factor(expected_s: float, actual_s: float) -> float:
    """How many times as long the longer of two times is."""
    low, high = sorted((max(expected_s, _LEAST_S), max(actual_s, _LEAST_S)))
    return high / low


if __name__ == "__main__":
    main()
