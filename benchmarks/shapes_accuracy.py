"""How often the built-in checkpoint shows what the prompt says, measured on video files that `doit` has made.

    python -m benchmarks.shapes_accuracy                 # all 270 combinations and 40 free wordings, one try each
    python -m benchmarks.shapes_accuracy --sweep         # guidance 1 to 6 and 5 to 30 steps on a part of them
    python -m benchmarks.shapes_accuracy --sheet docs/contact-sheet.png

Videos are nodes of a project in `--work`, so that a second call makes only what is missing.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from training.shapes.free_wordings import FREE_WORDINGS
from training.shapes.metric import read_video
from training.shapes.sample import plain_prompt
from training.shapes.sheet import contact_sheet
from training.shapes.vocabulary import (
    BACKGROUNDS,
    COLORS,
    MOTIONS,
    SHAPES,
    Combination,
    all_combinations,
    held_out_combinations,
)

PROJECT = Path(__file__).parent.parent
ATTRIBUTES = tuple(field.name for field in fields(Combination))
SWEEP_GUIDANCE = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
SWEEP_STEPS = (5, 10, 20, 30)
SWEEP_EVERY = 5  # of the combinations: 54 of 270, coprime to no table's length, so that every value occurs
SHEET_CELL_PX = 32


def main() -> None:
    """Make the videos, read them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=PROJECT / ".benchmarks" / "shapes", help="project of the videos")
    parser.add_argument("--checkpoint", default="builtin:shapes", help="checkpoint to measure")
    parser.add_argument("--sweep", action="store_true", help="try other guidance scales and numbers of steps")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of all combinations to this PNG file")
    options = parser.parse_args()
    videos = {f"c{index:03}": (plain_prompt(c), c) for index, c in enumerate(all_combinations())}
    videos |= {f"w{index:02}": entry for index, entry in enumerate(FREE_WORDINGS)}
    write_project(options.work, {name: prompt for name, (prompt, _) in videos.items()}, options.checkpoint)
    expected = {name: combination for name, (_, combination) in videos.items()}
    if options.sweep:
        sweep(options.work, expected)
        return
    build(options.work, videos)
    shown = {name: read_frames(options.work / "artifacts/videos" / f"{name}.mp4") for name in videos}
    report(shown, expected)
    if options.sheet:
        write_sheet({expected[name]: frames for name, frames in shown.items() if name[0] == "c"}, options.sheet)


def write_project(folder: Path, prompts: Mapping[str, str], checkpoint: str) -> None:
    """A project with one video per prompt; its seed is its place, everything else is the demo's."""
    shutil.rmtree(folder / "params", ignore_errors=True)
    shutil.copytree(PROJECT / "params", folder / "params", dirs_exist_ok=True)
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder / name)
    demo = (folder / "params/videos/demo.toml").read_text().splitlines()
    (folder / "params/videos/demo.toml").unlink()
    (folder / "params/model.toml").write_text(f'checkpoint = {json.dumps(checkpoint)}\nrevision = ""\n')
    for seed, (name, prompt) in enumerate(prompts.items()):
        lines = [f"prompt = {json.dumps(prompt)}" if line.startswith("prompt") else line for line in demo]
        lines.insert(lines.index("[denoise]") + 1, f"seed = {seed}")
        (folder / f"params/videos/{name}.toml").write_text("\n".join(lines) + "\n")


def build(folder: Path, names: Iterable[str], *overrides: str) -> None:
    """Make the videos: all stages of `doit`, each in one process."""
    command = [sys.executable, "-m", "doit", "-n1", *overrides]
    stages = ("encode", "denoise", "decode", "export")
    selected = [*names]
    everything = len(selected) == len(list((folder / "params/videos").glob("*.toml")))
    subprocess.run([*command, *(() if everything else selected)], cwd=folder, check=True)  # noqa: S603 (no shell)
    assert all((folder / "artifacts" / stage).is_dir() for stage in stages)


def read_frames(path: Path) -> NDArray[np.float32]:
    """A video file's frames, [f, h, w, 3], in 0..1."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames).astype(np.float32) / 255


def shares(shown: Mapping[str, NDArray[np.float32]], expected: Mapping[str, Combination]) -> dict[str, float]:
    """Share of videos with each attribute right, and with all four; 0..1."""
    readings = {name: read_video(frames).combination for name, frames in shown.items()}
    right = {a: [getattr(readings[n], a) == getattr(expected[n], a) for n in shown] for a in ATTRIBUTES}
    right["all four"] = [readings[name] == expected[name] for name in shown]
    right["colour and motion"] = [c and m for c, m in zip(right["color"], right["motion"], strict=True)]
    return {name: float(np.mean(values)) for name, values in right.items()}


def report(shown: Mapping[str, NDArray[np.float32]], expected: Mapping[str, Combination]) -> None:
    """Print the table, and what each wrong video shows instead."""
    held_out = set(held_out_combinations())
    groups = {
        "all combinations": [name for name in shown if name[0] == "c"],
        "held out": [name for name in shown if name[0] == "c" and expected[name] in held_out],
        "free wordings": [name for name in shown if name[0] == "w"],
    }
    print(f"| {'videos':16} | number | " + " | ".join((*ATTRIBUTES, "all four", "colour and motion")) + " |")
    print("|---|---|" + "---|" * (len(ATTRIBUTES) + 2))
    for group, names in groups.items():
        values = shares({name: shown[name] for name in names}, expected)
        print(f"| {group:16} | {len(names)} | " + " | ".join(f"{value:.1%}" for value in values.values()) + " |")
    for name, frames in shown.items():
        seen = read_video(frames).combination
        if seen != expected[name]:
            print(f"{name}: {_words(expected[name])}: shows {_words(seen)}")


def sweep(folder: Path, expected: Mapping[str, Combination]) -> None:
    """Print shares for other settings, on every SWEEP_EVERY-th combination."""
    names = [name for name in expected if name[0] == "c"][::SWEEP_EVERY]
    print("| guidance | steps | " + " | ".join((*ATTRIBUTES, "all four", "colour and motion")) + " |")
    for guidance in SWEEP_GUIDANCE:
        for steps in SWEEP_STEPS:
            settings = (f"denoise.guidance_scale={guidance}", f"denoise.num_inference_steps={steps}")
            build(folder, names, *settings)
            shown = {name: read_frames(folder / "artifacts/videos" / f"{name}.mp4") for name in names}
            values = shares(shown, expected).values()
            print(f"| {guidance} | {steps} | " + " | ".join(f"{value:.1%}" for value in values) + " |", flush=True)


def write_sheet(shown: Mapping[Combination, NDArray[np.float32]], path: Path) -> None:
    """A row per colour and shape, a column per background and motion; each cell the first, middle and last frame."""
    order = [Combination(s, c, m, b) for c in COLORS for s in SHAPES for b in BACKGROUNDS for m in MOTIONS]
    sheet = contact_sheet([shown[key] for key in order], columns=len(BACKGROUNDS) * len(MOTIONS), cell_px=SHEET_CELL_PX)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _words(combination: Combination) -> str:
    return " ".join(getattr(combination, attribute) for attribute in ATTRIBUTES)


if __name__ == "__main__":
    main()
