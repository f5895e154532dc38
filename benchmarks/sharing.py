"""What it saves to build videos in one run: model loads and processes shared, devices side by side.

    python -m benchmarks.sharing

Builds six videos of the built-in checkpoint three times, each time from nothing: one run for each video, one run for
all, one run for all with `-n 4`. Prints seconds, the ratio to the first, and how many processes the stages had.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.project import Tables, demo_tables, run_doit, write_project

COLORS = ("red", "green", "blue", "yellow", "purple", "cyan")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    videos = {color: video_of(color) for color in COLORS}
    ways: dict[str, list[list[str]]] = {
        "6 runs": [[color] for color in COLORS],
        "1 run": [[]],
        "1 run, -n 4": [["-n", "4"]],
    }
    measured = {way: measure(videos, runs) for way, runs in ways.items()}
    slowest = measured["6 runs"][0]
    print(f"{'':<12} {'seconds':>8} {'of 6 runs':>10} {'processes':>10}")
    for way, (seconds, num_processes) in measured.items():
        print(f"{way:<12} {seconds:8.1f} {seconds / slowest:10.2f} {num_processes:10}")


def video_of(color: str) -> Tables:
    """The demo in another colour."""
    demo = demo_tables()
    return {**demo, "encode": {**demo["encode"], "prompt": f"A {color} circle moves to the right."}}


def measure(videos: Mapping[str, Tables], runs: list[list[str]]) -> tuple[float, int]:
    """Seconds that these runs of doit take in a new project, and how many processes of stages they started."""
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder), videos)
        start = time.perf_counter()
        for arguments in runs:
            run_doit(Path(folder), *arguments)
        seconds = time.perf_counter() - start
        return seconds, len(list(Path(folder).glob("artifacts/logs/*.log")))  # each process has a log


if __name__ == "__main__":
    main()
