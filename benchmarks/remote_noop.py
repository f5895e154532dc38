"""Requests and seconds of `doit` with many videos beside a remote store, where nothing has to be made.

    python -m benchmarks.remote_noop FOLDER [--videos 1000]

The project is that of `benchmarks.noop`: as many exports, and three stages before them. One machine makes all of it and
pushes to moto's server on 127.0.0.1; another, with an empty store, is asked `list`, `explain`, and to have everything.
Requests are those that the server has seen. FOLDER is where both work. Prints Markdown.
"""

import argparse
import os
import time
from collections import Counter
from pathlib import Path

from benchmarks.noop import write_videos
from benchmarks.project import run_doit
from tests.project import set_defaults
from tests.remote.s3 import BUCKET, list_requests, running_s3, s3_variables

_ADDRESS = f"s3://{BUCKET}/x"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=1000)
    options = parser.parse_args()
    one, other, third = (options.folder / name for name in ("one", "other", "third"))
    with running_s3() as port:
        os.environ |= s3_variables(port)
        for folder in (one, other, third):
            write_videos(folder, options.videos)
            set_defaults(folder, "machine", remote=_ADDRESS)
        print("| | lists | gets | puts | seconds |\n|---|---|---|---|---|")
        measure(port, "nothing is there: `doit list`", third, "list")
        run_doit(one, is_quiet=True)
        measure(port, "all is here: `doit list`", one, "list")
        measure(port, "all is here: `doit`", one)
        measure(port, "all is there: `doit list`", other, "list")
        measure(port, "all is there: `doit explain`", other, "explain")
        measure(port, "all is there: `doit`", other)
        measure(port, "and once more", other)


def measure(port: int, what: str, folder: Path, *arguments: str) -> None:
    """Print a row: what the server has seen of a run."""
    before = len(list_requests(port))
    start = time.perf_counter()
    run_doit(folder, *arguments, is_quiet=True)
    wall_s = time.perf_counter() - start
    seen = Counter(kind_of(line) for line in list_requests(port)[before:])
    print(f"| {what} | {seen['list']} | {seen['GET']} | {seen['PUT']} | {wall_s:.1f} |", flush=True)


def kind_of(line: str) -> str:
    """Of a request: its method, or that it lists."""
    return "list" if "list-type=2" in line else line.split(" ", maxsplit=1)[0]


if __name__ == "__main__":
    main()
