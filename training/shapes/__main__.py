"""Trains the checkpoint and writes its folder: `python -m training.shapes`.

Runs the phases vae, dit and decoder, each from its own checkpoint in the work folder: kill it at any time and
start it again.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

# Otherwise every 3D convolution gives its buffers back to the system and page-faults them in again: half the speed.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "1000000000",
}
PHASES = ("vae", "dit", "decoder", "export")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.shapes", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("stages/models/builtin/shapes"), help="the checkpoint's folder"
    )
    parser.add_argument("--work", type=Path, default=Path(".training/shapes"), help="training state and log")
    parser.add_argument("--only", choices=PHASES, help="this phase alone; export also works halfway")
    parser.add_argument("--threads", type=int, default=1, help="of torch; other counts round differently")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Set the process up and run."""
    options = parse_arguments(arguments)
    if any(os.environ.get(name) != value for name, value in MALLOC.items()):
        os.environ.update(MALLOC)
        os.execv(sys.executable, [sys.executable, "-m", "training.shapes", *arguments])  # noqa: S606
    import torch  # noqa: PLC0415 - after the variables are set

    from training.shapes.recipe import run  # noqa: PLC0415

    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=options.work / "train.log", level=logging.INFO, format="%(asctime)s %(message)s", force=True
    )
    run([options.only] if options.only else list(PHASES), out=options.out, work=options.work)


if __name__ == "__main__":
    main(sys.argv[1:])
