"""What each process of a training does. Not in `__main__.py`, which a process that is spawned does not import."""

import argparse
import logging
from pathlib import Path

PHASES = ("vae", "dit", "decoder", "export")


def work_as(rank: int, options: argparse.Namespace, rendezvous: str) -> None:
    """Run the phases as process number `rank`."""
    import torch  # noqa: PLC0415 - where the process is started, only names are needed

    from training.shapes.parallel import is_first, process_group  # noqa: PLC0415
    from training.shapes.recipe import run  # noqa: PLC0415

    torch.set_num_threads(1)  # other counts round differently
    with process_group(Path(rendezvous), rank=rank, num_processes=options.processes):
        if is_first():
            log_file = options.work / "train.log"
            logging.basicConfig(filename=log_file, level=logging.INFO, format="%(asctime)s %(message)s", force=True)
        first = PHASES.index(options.after) + 1 if options.after else 0
        phases = [options.only] if options.only else PHASES[first:]
        run(phases, out=options.out, work=options.work, finished=PHASES[:first])
