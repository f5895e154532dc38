"""Previews: how good the map of the built-in VAE is, what it takes to fit it, and the time of a step with and without.

    python -m benchmarks.previews FOLDER [--clips 64] [--steps 1000]

In FOLDER a project is written and its videos are built, half of which the map is fitted to. Prints Markdown, and writes
`strips.png`: previews of a held-out video after several steps, and below them its decoded frames.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.denoising import ignore, prepare
from benchmarks.project import Tables, demo_tables, run_doit, write_project
from stages.denoise.denoiser import Denoiser
from stages.denoise.sampling import make_schedule
from stages.previews.color_map import ColorMap, Fit, shrink_frames
from stages.previews.estimate import estimate_clean
from stages.run.build import Build
from stages.run.loading import load_build
from stages.run.preview_messages import Subject
from stages.run.previews import Previews
from stages.store.artifacts import Store
from stages.tensors.files import TensorReader, read_tensors

SHAPES, COLORS = ("circle", "square", "triangle"), ("red", "green", "blue", "yellow", "purple", "cyan")
MOTIONS, BACKGROUNDS = ("moves to the right", "moves up", "stays still", "moves down"), ("black", "gray", "white")
LONG = {"num_frames": 33, "height": 160, "width": 160}  # of the video whose steps are timed
BLOCK = 10  # steps with previews, then as many without
SHOWN = (2, 5, 10, 20)  # steps in the picture, of 20
NUM_COLUMNS, COLUMN_PX, GAP_PX = 3, 192, 4


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=64, help="half of them are held out")
    parser.add_argument("--steps", type=int, default=1000, help="of the denoise whose steps are timed")
    options = parser.parse_args()
    write_project(options.folder, name_videos(options.clips, options.steps))
    names = [f"v{number:03}" for number in range(options.clips)]
    run_doit(options.folder, *names, "machine.preview_every=never", is_quiet=True)
    run_doit(options.folder, "encode", is_quiet=True)
    build = load_build(options.folder, {})
    clips = [read_clip(build, name) for name in names]
    half = len(clips) // 2
    print("| clips | held-out PSNR, dB | seconds to fit |\n|---|---|---|")
    for count in (1, 2, 4, 8, 16, half):
        fitted, fit_s = fit(clips[:count])
        print(f"| {count} | {measure(fitted, clips[half:]):.1f} | {fit_s:.2f} |")
    draw_steps(build, names[-1], fitted, options.folder / "strips.png")
    print("\n| previews | s of a step without | with | | made, and s of a processor |\n|---|---|---|---|---|")
    for every, num_steps in (("auto", options.steps), ("10", options.steps // 4)):
        without_s, with_s, made = time_steps(build, every, num_steps)
        share = f"{mean(with_s) / mean(without_s):.3f} (medians {median(with_s) / median(without_s):.3f})"
        print(f"| {every} | {mean(without_s):.4f} | {mean(with_s):.4f} | {share} | {made} |", flush=True)


def name_videos(num_clips: int, num_steps: int) -> dict[str, Tables]:
    """Videos of different prompts and seeds, and a long one."""
    demo = demo_tables()
    videos: dict[str, Tables] = {}
    random = np.random.default_rng(0)
    for number in range(num_clips):
        shape, color, motion, background = (
            str(random.choice(words)) for words in (SHAPES, COLORS, MOTIONS, BACKGROUNDS)
        )
        prompt = f"A {color} {shape} {motion} on a {background} background."
        encode, denoise = {**demo["encode"], "prompt": prompt}, {**demo["denoise"], "seed": number}
        videos[f"v{number:03}"] = {**demo, "encode": encode, "denoise": denoise}
    videos["long"] = {**demo, "denoise": {**demo["denoise"], **LONG, "num_inference_steps": num_steps}}
    return videos


def read_clip(build: Build, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Latents [c, f, h, w] and frames [n, H, W, 3] of a video."""
    store, nodes = Store(build.store.root), build.graph.videos[name]
    latents = read_tensors(store.payload(nodes["denoise"].artifact))["latents"][0]
    with TensorReader(store.payload(nodes["decode"].artifact), "frames") as frames:
        return latents, np.stack([frame.astype(np.float32) for frame in frames])


def fit(clips: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[ColorMap, float]:
    """The map of these clips, and the seconds that it takes."""
    began = time.perf_counter()
    fitted = Fit()
    for latents, frames in clips:
        fitted.add(latents, iter(frames))
    found = fitted.solve()
    return found, time.perf_counter() - began


def measure(found: ColorMap, clips: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> float:
    """PSNR of all pictures of these clips together, dB, beside the decoded frames in the size of a preview."""
    errors = [
        np.square(found.paint(latents) - shrink_frames(iter(frames), latents.shape[1])) for latents, frames in clips
    ]
    return float(-10 * np.log10(np.mean(errors) / 4))


def time_steps(build: Build, every: str, num_steps: int) -> tuple[list[float], list[float], str]:
    """Seconds of each step without and with previews, in one run, block after block; and what was made."""
    node = build.graph.videos["long"]["denoise"]
    denoiser, video = prepare(build, node)
    video = replace(video, settings=replace(video.settings, num_inference_steps=num_steps))
    sigmas = sigmas_of(denoiser, num_steps)
    faults: list[str] = []
    job = build.job(node)
    subject = Subject(job.store, node.artifact, ("long",), job.checkpoint)
    took_s: dict[bool, list[float]] = {False: [], True: []}
    ended = time.perf_counter()
    previews = Previews(
        subject,
        sigmas,
        every=every,
        num_processors=len(os.sched_getaffinity(0)),
        show=lambda _path: None,
        warn=faults.append,
        clock=lambda: sum(took_s[True]),  # as if there were no steps without
    )

    def keep(num_done: int, latents: NDArray[Any]) -> None:
        nonlocal ended
        now = time.perf_counter()
        is_with = (num_done - 1) // BLOCK % 2 == 1
        if num_done > BLOCK:  # the first ones are those of a run that has just begun
            took_s[is_with].append(now - ended)
        ended = now
        if num_done // BLOCK % 2 == 1:
            previews(num_done, latents)

    denoiser.run(video, progress=ignore, keep=keep)
    previews.close()
    assert not faults, faults
    return took_s[False], took_s[True], f"{previews.num_made} in {previews.cpu_s:.2f} s"


def sigmas_of(denoiser: Denoiser, num_steps: int) -> list[float]:
    """Shares of noise before the first step, and after each."""
    return make_schedule(num_steps, denoiser.config.scheduler).sigmas.tolist()


def draw_steps(build: Build, name: str, found: ColorMap, path: Path) -> None:
    """A row for each step of SHOWN, and one of the decoded frames: the first, the middle and the last of each."""
    denoiser, video = prepare(build, build.graph.videos[name]["denoise"])
    sigmas = sigmas_of(denoiser, SHOWN[-1])
    video = replace(video, settings=replace(video.settings, num_inference_steps=SHOWN[-1]))
    kept: dict[int, NDArray[Any]] = {}
    denoiser.run(video, progress=ignore, keep=kept.__setitem__)
    rows = [
        found.paint(
            estimate_clean(kept[step - 1][0], kept[step][0], sigma_before=sigmas[step - 1], sigma_after=sigmas[step])
        )
        for step in SHOWN
    ]
    rows.append(read_clip(build, name)[1])
    write_png(path, [[row[round(place * (len(row) - 1))] for place in (0, 0.5, 1)] for row in rows])


def write_png(path: Path, rows: Sequence[Sequence[NDArray[Any]]]) -> None:
    """Write pictures, [h, w, 3] in [-1, 1], square, as a grid."""
    lines = []
    for row in rows:
        cells = []
        for picture in row:
            larger = COLUMN_PX // len(picture)
            cell = picture.repeat(larger, axis=0).repeat(larger, axis=1)
            cells += [cell, np.zeros((len(cell), GAP_PX, 3))]
        lines += [np.concatenate(cells, axis=1), np.zeros((GAP_PX, NUM_COLUMNS * (COLUMN_PX + GAP_PX), 3))]
    pixels = ((np.clip(np.concatenate(lines), -1, 1) + 1) * 127.5).round().astype(np.uint8)
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = pixels.shape[:2]
    encoder.pix_fmt = "rgb24"
    encoder.framerate = 1
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    path.write_bytes(b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)]))


if __name__ == "__main__":
    main()
