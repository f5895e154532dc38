"""This project beside diffusers' HunyuanVideo15Pipeline on a CPU: same checkpoints, same machine, same run.

    python -m benchmarks.cpu_pipeline                    # all sizes, written to benchmarks/results/cpu_pipeline.md
    python -m benchmarks.cpu_pipeline --sizes demo       # some, printed only

Each side is real processes: `doit` with its stages, and one process that loads the pipeline, encodes, denoises and
decodes. They take turns, both in float32 on the same number of cores; the least of all rounds counts, because other
work on the machine only adds. A step is the median of a run's steps but the first; our decode is the second of a
process, as programs are loaded for the first one. Of all rounds but the first, the store holds compiled programs.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from benchmarks.checkpoints import write_checkpoint
from benchmarks.project import PROJECT, Tables, demo_tables, run_doit, write_project

RESULTS = PROJECT / "benchmarks/results/cpu_pipeline.md"
VIDEO = "measured"  # its name in the project
LIBRARIES = ("torch", "diffusers", "transformers", "jax", "jaxlib")
RUNS = "artifacts/*/*/run.json"
MIB = 2**20
Measures: TypeAlias = dict[str, float]
Pick: TypeAlias = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class Size:
    """A checkpoint and a video of it.

    Attributes:
        about: what the table says of it.
        vae_channels: of a random checkpoint; empty for the built-in one.
        denoise: what differs from the demo in the video's [denoise] table.
    """

    about: str
    vae_channels: tuple[int, ...]
    denoise: Mapping[str, int]


SIZES = {
    "demo": Size("the built-in checkpoint, 25 frames 96x96, 20 steps", (), {}),
    "large": Size(
        "random weights, DiT of 8 blocks, 8 heads x 64, 2,028 video tokens (9 frames 416x416), 4 steps; VAE of 32 to "
        "256 channels, a quarter of the real widths",
        (32, 64, 128, 256, 256),
        {"num_frames": 9, "height": 416, "width": 416, "num_inference_steps": 4},
    ),
    "wide": Size(
        "random weights, the same DiT, 9 frames 96x96, 4 steps; VAE of 64 to 512 channels, half of the real widths",
        (64, 128, 256, 512, 512),
        {"num_frames": 9, "num_inference_steps": 4},
    ),
}


def first(rounds: Sequence[float]) -> float:
    """The round that finds an empty store."""
    return rounds[0]


def least_later(rounds: Sequence[float]) -> float:
    """Of all rounds but the first."""
    return min(rounds[1:])


ROWS: tuple[tuple[str, str, Pick], ...] = (
    ("denoise step, s", "step_s", min),
    ("denoise step, CPU s", "step_cpu_s", min),
    ("decode, s", "decode_s", min),
    ("decode, CPU s", "decode_cpu_s", min),
    ("whole, cold, s", "whole_s", first),
    ("whole, cold, CPU s", "whole_cpu_s", first),
    ("of it compiling, s", "compile_s", first),
    ("whole, warm, s", "whole_s", least_later),
    ("whole, warm, CPU s", "whole_cpu_s", least_later),
    ("of it loading what was compiled, s", "compile_s", least_later),
    ("`doit` when the video is there, s", "again_s", min),
    ("peak memory of the largest process, MiB", "peak_mib", min),
)


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="all, and into the file")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs, at least 2")
    parser.add_argument("--cores", type=int, default=2, help="that each side may use")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])  # all processes below inherit it
    parts = [describe_machine(options.cores)]
    for name in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            parts.append(measure(SIZES[name], Path(folder), num_rounds=options.rounds))
        print(parts[-1], flush=True)
    if options.sizes == list(SIZES):
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text("\n".join(parts), encoding="utf-8")


def describe_machine(num_cores: int) -> str:
    """The head of the page."""
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cpu = next(line.split(": ")[1] for line in cpu_info.splitlines() if line.startswith("model name"))
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        "# This project beside diffusers' pipeline on the CPU\n\n"
        f"`python -m benchmarks.cpu_pipeline`, which says how it is measured. {cpu}, {num_cores} cores, Python "
        f"{platform.python_version()}, {libraries}; float32, guidance in both branches. CPU seconds are those of all "
        "threads; a thread that waits for another one counts in part. Cold: nothing in the store; warm: another prompt "
        "and seed in the same project, new processes. The system's file cache is warm in both.\n"
    )


def measure(size: Size, folder: Path, *, num_rounds: int) -> str:
    """The section of one size."""
    if size.vae_channels:
        write_checkpoint(folder / "model", vae_channels=size.vae_channels)
    checkpoint = str(folder / "model") if size.vae_channels else "builtin:shapes"
    ours, theirs = [], []
    for index in range(num_rounds):
        write_project(folder, {VIDEO: video_of(size, seed=index)}, checkpoint=checkpoint)
        ours.append(build_video(folder) | run_side("stages", folder))
        theirs.append(run_side("pipeline", folder))
    difference = max(value["difference"] for value in theirs)
    return f"## {size.about}\n\n{to_table(ours, theirs)}\nLatents differ by {difference:.0e} at most.\n"


def video_of(size: Size, *, seed: int) -> Tables:
    """A video whose stages all have to run, whatever seeds were before."""
    demo = demo_tables()
    encode = {**demo["encode"], "prompt": f"{demo['encode']['prompt']} Take {seed}."}
    return {**demo, "encode": encode, "denoise": {**demo["denoise"], **size.denoise, "seed": seed}}


def build_video(folder: Path) -> Measures:
    """Build the project's video by `doit`, and again when it is there."""
    before = set(folder.glob(RUNS))
    start, cpu_start = time.perf_counter(), _children_cpu_s()
    run_doit(folder)
    end, cpu_end = time.perf_counter(), _children_cpu_s()
    run_doit(folder)
    runs = [json.loads(path.read_text()) for path in set(folder.glob(RUNS)) - before]
    return {
        "whole_s": end - start,
        "whole_cpu_s": cpu_end - cpu_start,
        "compile_s": sum(run["wall_s"].get("compile", 0) for run in runs),
        "again_s": time.perf_counter() - end,
        "peak_mib": max(run["peak_memory_bytes"] for run in runs) / MIB,
    }


def run_side(side: str, folder: Path) -> Measures:
    """What a process of benchmarks/cpu_sides.py measures; for the pipeline, the seconds of the whole process too."""
    command = [sys.executable, "-m", "benchmarks.cpu_sides", side, str(folder)]
    start, cpu_start = time.perf_counter(), _children_cpu_s()
    run = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 (no shell)
    whole = {"whole_s": time.perf_counter() - start, "whole_cpu_s": _children_cpu_s() - cpu_start}
    measures: Measures = json.loads(run.stdout.splitlines()[-1])
    return measures | (whole if side == "pipeline" else {})


def to_table(ours: Sequence[Measures], theirs: Sequence[Measures]) -> str:
    """The rounds of both sides as one table."""
    lines = ["| | this project | pipeline | ratio |", "|---|---|---|---|"]
    for label, name, pick in ROWS:
        own = pick([measures[name] for measures in ours])
        beside = " | "
        if all(name in measures for measures in theirs):
            other = pick([measures[name] for measures in theirs])
            beside = f"{other:.4g} | {own / other:.2f}"
        lines.append(f"| {label} | {own:.4g} | {beside} |")
    return "\n".join(lines) + "\n"


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
