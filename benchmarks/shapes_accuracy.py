"""How often the built-in checkpoint shows what the prompt says, measured on video files that `doit` has made.

    python -m benchmarks.shapes_accuracy                 # all 270 combinations and 40 free wordings, one try each
    python -m benchmarks.shapes_accuracy --grid          # 60 combinations at each of several sizes and lengths
    python -m benchmarks.shapes_accuracy --sweep         # guidance 1 to 6 and 5 to 30 steps on a part of them
    python -m benchmarks.shapes_accuracy --sheet docs/contact-sheet.png
    python -m benchmarks.shapes_accuracy --grid --animation docs/shapes.webp

Videos are nodes of a project in `--work`, so that a second call makes only what is missing.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.project import PROJECT, Tables, demo_tables, run_doit, write_project
from stages.geometry import VideoSize
from training.shapes.free_wordings import FREE_WORDINGS
from training.shapes.metric import read_video
from training.shapes.sample import plain_prompt
from training.shapes.sheet import contact_sheet, moving_sheet
from training.shapes.sizes import USUAL_SIZE
from training.shapes.vocabulary import (
    BACKGROUNDS,
    COLORS,
    MOTIONS,
    SHAPES,
    Combination,
    all_combinations,
    held_out_combinations,
)

GRID = (  # the last two are larger and longer than what is trained
    VideoSize(1, 96, 96),
    VideoSize(9, 96, 160),
    VideoSize(13, 160, 96),
    VideoSize(17, 128, 128),
    VideoSize(25, 64, 64),
    VideoSize(25, 128, 128),
    VideoSize(25, 160, 160),
    VideoSize(9, 256, 256),
    VideoSize(49, 96, 96),
)
GRID_PROMPTS, GRID_STRIDE = 60, 7  # the stride is coprime to 270: no combination twice, every value often
ATTRIBUTES = tuple(attribute.name for attribute in fields(Combination))
SWEEP_GUIDANCE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
SWEEP_STEPS = (5, 10, 20, 30)
SWEEP_EVERY = 5  # of the combinations: 54 of 270, coprime to no table's length, so that every value occurs
SHEET_CELL_PX = 32
ANIMATED, ANIMATION_COLUMNS = VideoSize(25, 128, 128), 6  # a size of GRID
ANIMATION_STRIDE, FRAME_MS = 23, 83  # coprime to GRID_PROMPTS; 12 frames a second


@dataclass(frozen=True)
class Video:
    """A video to make: what it is asked for, what it should show, and settings in place of the demo's."""

    prompt: str
    expected: Combination
    seed: int
    size: VideoSize = USUAL_SIZE
    denoise: Mapping[str, float] = field(default_factory=dict)


def main() -> None:
    """Make the videos, read them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=PROJECT / ".benchmarks" / "shapes", help="project of the videos")
    parser.add_argument("--checkpoint", default="builtin:shapes", help="checkpoint to measure")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--sweep", action="store_true", help="try other guidance scales and numbers of steps")
    which.add_argument("--grid", action="store_true", help="try other sizes and lengths")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of all combinations to this PNG file")
    parser.add_argument("--animation", type=Path, help="write some videos of the grid, which play, to this WebP file")
    options = parser.parse_args()
    if options.animation and not options.grid:
        parser.error("--animation shows videos of --grid")
    videos = sweep_videos() if options.sweep else grid_videos() if options.grid else all_videos()
    tables = {name: tables_of(video) for name, video in videos.items()}
    write_project(options.work, tables, checkpoint=options.checkpoint)
    run_doit(options.work, "-n", "4")
    shown = {name: read_frames(options.work / "artifacts/videos" / f"{name}.mp4") for name in videos}
    expected = {name: video.expected for name, video in videos.items()}
    if options.sweep:
        report_sweep(shown, expected)
    elif options.grid:
        report_groups(shown, expected, {size_name(size): f"{size_name(size)}-" for size in GRID})
    else:
        report(shown, expected)
    if options.sheet:
        write_sheet({expected[name]: frames for name, frames in shown.items() if name[0] == "c"}, options.sheet)
    if options.animation:
        write_animation([frames for name, frames in shown.items() if videos[name].size == ANIMATED], options.animation)


def all_videos() -> dict[str, Video]:
    """c000..: every combination; w00..: the free wordings. A video's seed is its place."""
    videos = {f"c{index:03}": Video(plain_prompt(c), c, index) for index, c in enumerate(all_combinations())}
    for index, (prompt, expected) in enumerate(FREE_WORDINGS):
        videos[f"w{index:02}"] = Video(prompt, expected, len(videos))
    return videos


def sweep_videos() -> dict[str, Video]:
    """Every SWEEP_EVERY-th combination under every setting, named so that a setting's videos share a beginning."""
    chosen = {name: video for name, video in all_videos().items() if name[0] == "c"}
    return {
        f"{setting_name(guidance, steps)}-{name}": replace(
            chosen[name], denoise={"guidance_scale": guidance, "num_inference_steps": steps}
        )
        for guidance in SWEEP_GUIDANCE
        for steps in SWEEP_STEPS
        for name in [*chosen][::SWEEP_EVERY]
    }


def grid_videos() -> dict[str, Video]:
    """The same combinations at every size of GRID, named so that a size's videos share a beginning.

    Of a single frame, only combinations without motion.
    """
    everything = all_combinations()
    chosen = [everything[index * GRID_STRIDE % len(everything)] for index in range(GRID_PROMPTS)]
    return {
        f"{size_name(size)}-g{index:02}": Video(plain_prompt(combination), combination, index, size)
        for size in GRID
        for index, combination in enumerate(chosen)
        if size.num_frames > 1 or combination.motion == "still"
    }


def size_name(size: VideoSize) -> str:
    """Such as 96x160x9: height, width and frames."""
    return f"{size.height}x{size.width}x{size.num_frames}"


def setting_name(guidance: float, steps: int) -> str:
    """Such as g15-s20."""
    return f"g{round(guidance * 10)}-s{steps}"


def tables_of(video: Video) -> Tables:
    """The video's file; what it does not say is the demo's."""
    demo = demo_tables()
    return {
        **demo,
        "encode": {**demo["encode"], "prompt": video.prompt},
        "denoise": {**demo["denoise"], **asdict(video.size), "seed": video.seed, **video.denoise},
    }


def read_frames(path: Path) -> NDArray[np.float32]:
    """A video file's frames, [f, h, w, 3], in 0..1."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames).astype(np.float32) / np.float32(255)


def shares(shown: Mapping[str, NDArray[np.float32]], expected: Mapping[str, Combination]) -> dict[str, float]:
    """Share of videos with each attribute right, and with all four; 0..1."""
    readings = {name: read_video(frames).combination for name, frames in shown.items()}
    right = {a: [getattr(readings[n], a) == getattr(expected[n], a) for n in shown] for a in ATTRIBUTES}
    right["all four"] = [readings[name] == expected[name] for name in shown]
    right["colour and motion"] = [c and m for c, m in zip(right["color"], right["motion"], strict=True)]
    return {name: float(np.mean(values)) for name, values in right.items()}


def report(shown: Mapping[str, NDArray[np.float32]], expected: Mapping[str, Combination]) -> None:
    """Print the table of all combinations and wordings, and what each wrong video shows instead."""
    names = {"all combinations": "c", "free wordings": "w"}
    report_groups(shown, expected, names)
    held_out = set(held_out_combinations())
    of_held_out = {name: frames for name, frames in shown.items() if name[0] == "c" and expected[name] in held_out}
    report_groups(of_held_out, expected, {"held out": "c"})


def report_groups(
    shown: Mapping[str, NDArray[np.float32]], expected: Mapping[str, Combination], beginnings: Mapping[str, str]
) -> None:
    """Print a row per group, whose videos' names share a beginning, and what each wrong video shows instead."""
    print(f"| {'videos':16} | number | " + " | ".join((*ATTRIBUTES, "all four", "colour and motion", "overlap")) + " |")
    print("|---|---|" + "---|" * (len(ATTRIBUTES) + 3))
    for group, beginning in beginnings.items():
        own = {name: frames for name, frames in shown.items() if name.startswith(beginning)}
        values = " | ".join(f"{value:.1%}" for value in shares(own, expected).values())
        overlap = np.mean([read_video(frames).overlap for frames in own.values()])
        print(f"| {group:16} | {len(own)} | {values} | {overlap:.3f} |")
    for name, frames in shown.items():
        seen = read_video(frames).combination
        if seen != expected[name]:
            print(f"{name}: {_words(expected[name])}: shows {_words(seen)}")


def report_sweep(shown: Mapping[str, NDArray[np.float32]], expected: Mapping[str, Combination]) -> None:
    """Print shares per setting, and how well outlines fit the shape that was read (1 = crisp)."""
    print("| guidance | steps | " + " | ".join((*ATTRIBUTES, "all four", "colour and motion", "overlap")) + " |")
    print("|---|---|" + "---|" * (len(ATTRIBUTES) + 3))
    for guidance, steps in itertools.product(SWEEP_GUIDANCE, SWEEP_STEPS):
        beginning = setting_name(guidance, steps) + "-"
        own = {name: frames for name, frames in shown.items() if name.startswith(beginning)}
        values = " | ".join(f"{value:.1%}" for value in shares(own, expected).values())
        overlap = np.mean([read_video(frames).overlap for frames in own.values()])
        print(f"| {guidance} | {steps} | {values} | {overlap:.3f} |")


def write_sheet(shown: Mapping[Combination, NDArray[np.float32]], path: Path) -> None:
    """A row per colour and shape, a column per background and motion; each cell the first, middle and last frame."""
    order = [Combination(s, c, m, b) for c in COLORS for s in SHAPES for b in BACKGROUNDS for m in MOTIONS]
    sheet = contact_sheet([shown[key] for key in order], columns=len(BACKGROUNDS) * len(MOTIONS), cell_px=SHEET_CELL_PX)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def write_animation(shown: Sequence[NDArray[np.float32]], path: Path) -> None:
    """Three rows of the videos, of all kinds, playing at the same time for ever."""
    chosen = [shown[index * ANIMATION_STRIDE % len(shown)] for index in range(3 * ANIMATION_COLUMNS)]
    first, *others = moving_sheet(chosen, columns=ANIMATION_COLUMNS)
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=others, duration=FRAME_MS, loop=0, quality=90, method=6)


def _words(combination: Combination) -> str:
    return " ".join(getattr(combination, attribute) for attribute in ATTRIBUTES)


if __name__ == "__main__":
    main()
