"""What it costs that an unfinished denoise is saved: beside runs without, turn by turn in one process; and by size.

    python -m benchmarks.saving FOLDER [--seconds 150] [--turns 15]

FOLDER is a project whose default video has been built; states are written to its store. Prints Markdown.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.denoising import ignore, prepare
from stages.denoise.denoiser import Denoiser, PreparedVideo
from stages.denoise.resume import Keeper, Start, Work
from stages.geometry import VideoSize, latent_size
from stages.keys import ArtifactId, Key
from stages.machine.mesh_layout import AUTO
from stages.run.loading import load_build
from stages.store.partial import PartialStates

SIZES = {"480p, 49 frames": (49, 480, 848), "720p, 49 frames": (49, 720, 1280), "720p, 241 frames": (241, 720, 1280)}
NUM_WRITES = 9
ARTIFACT = ArtifactId("denoise", Key("0" * 32))  # of no node


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=150.0, help="of the long run, which is saved by itself")
    parser.add_argument("--turns", type=int, default=15, help="of short runs with and without")
    options = parser.parse_args()
    build = load_build(options.folder, {})
    denoiser, video = prepare(build, build.graph.videos["demo"]["denoise"])
    states = PartialStates(build.store.root)
    without_s, with_s = compare(denoiser, video, states, options.turns)
    print("| | |\n|---|---|")
    print(f"| short run, nothing kept | {without_s:.3f} s of processors |")
    print(
        f"| the same, latents copied to the host after each step | {with_s:.3f} s, {with_s / without_s:.3f} of that |"
    )
    run_s, saving_s, num_steps = run_long(denoiser, video, states, options.seconds, without_s)
    share = saving_s / run_s
    print(
        f"| long run, saved by itself | {num_steps} steps, {run_s:.1f} s, {saving_s:.3f} of them saving: {share:.5f} |"
    )
    for name, (num_frames, height, width) in SIZES.items():
        size = latent_size(VideoSize(num_frames, height, width))
        seconds, num_bytes = time_write(Work(ARTIFACT, {}, size, "bfloat16", 50), states)
        print(f"| a state of {name}, {num_bytes / 2**20:.1f} MiB | {seconds:.3f} s, {seconds / 60:.5f} of a minute |")


def compare(denoiser: Denoiser, video: PreparedVideo, states: PartialStates, num_turns: int) -> tuple[float, float]:
    """Median processor seconds of a run without and with a keeper, one after the other, in changing order."""
    took_s: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(num_turns):
        for is_kept in (turn % 2 == 0, turn % 2 == 1):
            keeper = make_keeper(video, states) if is_kept else None
            took_s[is_kept].append(time_run(denoiser, video, keeper))
    return median(took_s[False]), median(took_s[True])


def run_long(
    denoiser: Denoiser, video: PreparedVideo, states: PartialStates, seconds: float, short_s: float
) -> tuple[float, float, int]:
    """Seconds of a run of about so many seconds, those of its saving, and its steps."""
    num_steps = round(video.settings.num_inference_steps * seconds / short_s)
    video = replace(video, settings=replace(video.settings, num_inference_steps=num_steps))
    keeper = make_keeper(video, states)
    run_s = time_run(denoiser, video, keeper, time.perf_counter)
    states.remove(ARTIFACT)
    return run_s, keeper.saving_s, num_steps


def make_keeper(video: PreparedVideo, states: PartialStates) -> Keeper:
    """As a run has it that is saved by itself."""
    work = Work(ARTIFACT, {}, video.settings.size, "float32", video.settings.num_inference_steps)
    return Keeper(work, Start(), states, every=AUTO, warn=print)


def time_run(
    denoiser: Denoiser,
    video: PreparedVideo,
    keep: Callable[[int, Any], None] | None,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Seconds: of all processors together, which other programs disturb less than those on the wall."""
    began = clock()
    denoiser.run(video, progress=ignore, keep=keep)
    return clock() - began


def time_write(work: Work, states: PartialStates) -> tuple[float, int]:
    """Median seconds until a state of this size is on disk, checked for NaN as in a run; and its bytes."""
    latents = np.random.default_rng(0).normal(size=work.size.shape).astype(np.dtype("bfloat16"))
    took_s = []
    for number in range(1, NUM_WRITES + 1):
        keeper = Keeper(work, Start(), states, every=AUTO, warn=print)
        keeper(number, latents)
        keeper.save()
        took_s.append(keeper.saving_s)
    states.remove(work.artifact)
    return median(took_s), work.num_bytes


if __name__ == "__main__":
    main()
