"""Trains the checkpoint and writes its folder: `python -m training.shapes`.

Runs the phases vae, dit and decoder, each from its own checkpoint in the work folder: kill it at any time and
start it again. Two processes of one thread each work together; with one the result is the same.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing import connection
from pathlib import Path

from training.shapes.finished import SHA256
from training.shapes.worker import PHASES, work_as

# Otherwise every 3D convolution gives its buffers back to the system and page-faults them in again: half the speed.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "1000000000",
}


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.shapes", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("stages/models/builtin/shapes"), help="the checkpoint's folder"
    )
    parser.add_argument("--work", type=Path, default=Path(".training/shapes"), help="training state and log")
    parser.add_argument("--only", choices=PHASES, help="this phase alone; export also works halfway")
    parser.add_argument("--after", choices=tuple(SHA256), help="begin after this phase, with the files in phases/")
    parser.add_argument("--processes", type=int, choices=(1, 2), default=2, help="of one thread each")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Set the processes up and run."""
    options = parse_arguments(arguments)
    os.environ.update(MALLOC)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends the other processes, too
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("spawn")
        workers = [
            context.Process(target=work_as, args=(rank, options, f"{folder}/rendezvous"), daemon=True)
            for rank in range(options.processes)
        ]
        for worker in workers:
            worker.start()
        while running := [worker for worker in workers if worker.is_alive()]:
            connection.wait([worker.sentinel for worker in running])
            if any(worker.exitcode for worker in workers):  # the other would wait for it
                sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
