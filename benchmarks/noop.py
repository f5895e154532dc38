"""A run that has nothing to do, with one video and with thousands, beside Snakemake and DVC on graphs of one shape.

    python -m benchmarks.noop --others VENV              # written to benchmarks/results/noop.md
    python -m benchmarks.noop --videos 1 100             # some, printed only

All videos share an encode, a denoise and a decode, and each has an export of its own; in the others' graphs each of
these is a command that copies a file. VENV is an environment with Snakemake and DVC, which is made by
`python -m venv` and `pip install` where there is none. Each is run until nothing is left to do, and then measured: the
least of some runs, which take turns, because other work on the machine only adds. DVC takes most of a second to add a
stage, so that its largest graph has --dvc-limit of them. Of 10,000 videos Snakemake makes one or two in a second, so
that above --snakemake-limit the files are copied here, in the order of the graph, before it is first asked.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.project import PROJECT, Tables, demo_tables, run_doit, write_project

RESULTS = PROJECT / "benchmarks/results/noop.md"
NUM_VIDEOS = (1, 100, 1_000, 10_000)
NUM_RUNS = 3
MAX_FPS = 240  # of the parameter's rule: a video differs from the others in its fps and crf
SHARED = ("encode", "denoise", "decode")
OTHERS = {"snakemake": "snakemake>=9,<10", "dvc": "dvc>=3,<4"}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", nargs="+", type=int, default=list(NUM_VIDEOS), help="all, and into the file")
    parser.add_argument(
        "--others", type=Path, help="the environment of Snakemake and DVC; without it, they are left out"
    )
    parser.add_argument("--dvc-limit", type=int, default=100, help="videos of the largest graph that DVC is given")
    parser.add_argument("--snakemake-limit", type=int, default=1000, help="videos of the largest that Snakemake makes")
    options = parser.parse_args()
    if options.others is not None:
        install_others(options.others)
    rows = []
    for number in options.videos:
        rows.append(measure(number, options.others, options.dvc_limit, options.snakemake_limit))
        print(f"{number:,} videos: {rows[-1]}", flush=True)
    text = describe(options.others, options.dvc_limit, options.snakemake_limit) + to_table(options.videos, rows)
    print(text)
    if options.others is not None and options.videos == list(NUM_VIDEOS):
        RESULTS.write_text(text, encoding="utf-8")


def install_others(environment: Path) -> None:
    """Make the environment of Snakemake and DVC, unless it is there."""
    if not (environment / "bin").is_dir():
        run([sys.executable, "-m", "venv", str(environment)])
        run([str(environment / "bin/pip"), "install", "--quiet", *OTHERS.values()])


def measure(num_videos: int, others: Path | None, dvc_limit: int, snakemake_limit: int) -> dict[str, float]:
    """Seconds of the first run and of those that had nothing to do, by what they are called in the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs: dict[str, Callable[[], None]] = {}
        seconds: dict[str, float] = {}
        for tool, (prepare, again) in tools_for(folder, num_videos, others, dvc_limit).items():
            (folder / tool).mkdir()
            prepare()
            if tool == "snakemake" and num_videos > snakemake_limit:
                copy_as_snakemake(folder / tool, num_videos)
                again()
            else:
                seconds[f"{tool}, first run"] = timed(again)
            runs[tool] = again
        for tool, again in list(runs.items()) * NUM_RUNS:
            seconds[tool] = min(seconds.get(tool, float("inf")), timed(again))
        return seconds


def tools_for(
    folder: Path, num_videos: int, others: Path | None, dvc_limit: int
) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """What writes the project of each tool, and what runs it."""
    doit, snakemake, dvc = (folder / name for name in ("doit", "snakemake", "dvc"))
    tools = {"doit": (lambda: write_videos(doit, num_videos), lambda: run_doit(doit, is_quiet=True))}
    if others is not None:
        command = [str(others / "bin/snakemake"), "--cores", "2", "--quiet", "all"]
        tools["snakemake"] = (lambda: write_snakefile(snakemake, num_videos), lambda: run(command, snakemake))
    if others is not None and num_videos <= dvc_limit:
        repro = [str(others / "bin/dvc"), "repro", "--quiet"]
        tools["dvc"] = (lambda: write_dvc(dvc, num_videos, others), lambda: run(repro, dvc))
    return tools


def write_videos(folder: Path, num_videos: int) -> None:
    """A project whose videos share all but the last stage, which is cheap: one frame of 16x16."""
    demo = demo_tables()
    small = {"num_frames": 1, "height": 16, "width": 16, "num_inference_steps": 1}
    base = {**demo, "denoise": {**demo["denoise"], **small}}
    videos: dict[str, Tables] = {
        f"video{index:05}": {**base, "export": {"fps": index % MAX_FPS + 1, "crf": index // MAX_FPS + 1}}
        for index in range(num_videos)
    }
    write_project(folder, videos)


def write_snakefile(folder: Path, num_videos: int) -> None:
    """The same graph for Snakemake."""
    (folder / "prompt").write_text("A red circle.\n")
    rules = [f"rule all:\n    input: expand('export/{{n}}', n=range({num_videos}))\n"]
    for before, stage in zip(("prompt", *SHARED), SHARED, strict=False):
        rules.append(
            f"rule {stage}:\n    input: '{before}'\n    output: '{stage}'\n    shell: 'cp {{input}} {{output}}'\n"
        )
    rules.append("rule export:\n    input: 'decode'\n    output: 'export/{n}'\n    shell: 'cp {input} {output}'\n")
    (folder / "Snakefile").write_text("\n".join(rules))


def copy_as_snakemake(folder: Path, num_videos: int) -> None:
    """What its rules would have made."""
    (folder / "export").mkdir()
    for before, after in zip(("prompt", *SHARED), SHARED, strict=False):
        shutil.copyfile(folder / before, folder / after)
    for index in range(num_videos):
        shutil.copyfile(folder / "decode", folder / f"export/{index}")


def write_dvc(folder: Path, num_videos: int, environment: Path) -> None:
    """The same graph for DVC, without a Git repository."""
    (folder / "prompt").write_text("A red circle.\n")
    stages = {
        stage: {"cmd": f"cp {before} {stage}", "deps": [before], "outs": [stage]}
        for before, stage in zip(("prompt", *SHARED), SHARED, strict=False)
    }
    for index in range(num_videos):
        stages[f"export{index}"] = {"cmd": f"cp decode out{index}", "deps": ["decode"], "outs": [f"out{index}"]}
    run([str(environment / "bin/dvc"), "init", "--no-scm", "--quiet"], folder)
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))  # JSON is YAML


def run(command: Sequence[str], folder: Path | None = None) -> None:
    """Run a command that has to succeed; what it prints is not shown."""
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 (no shell)


def timed(work: Callable[[], None]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def describe(others: Path | None, dvc_limit: int, snakemake_limit: int) -> str:
    """The head of the page."""
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cpu = next(line.split(": ")[1] for line in cpu_info.splitlines() if line.startswith("model name"))
    versions = [f"doit {version('doit')}"]
    if others is not None:
        versions += [f"{name} {version_in(others, name)}" for name in OTHERS]
    return (
        "# A run that has nothing to do\n\n"
        f"`python -m benchmarks.noop`, which says how it is measured. {cpu}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {', '.join(versions)}. Seconds; each number of videos is a graph of as many "
        f"exports and three stages before them. DVC was given {dvc_limit} videos at most; of more than "
        f"{snakemake_limit:,}, Snakemake found files that were copied for it.\n\n"
    )


def version_in(environment: Path, package: str) -> str:
    """The version of a package in another environment."""
    command = [str(environment / "bin/python"), "-c", f"from importlib.metadata import *; print(version('{package}'))"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()  # noqa: S603 (no shell)


def to_table(num_videos: Sequence[int], columns: Sequence[dict[str, float]]) -> str:
    """A row per tool, and for its first run; a column per number of videos."""
    names = dict.fromkeys(name for column in columns for name in column)
    lines = [f"| videos | {' | '.join(f'{number:,}' for number in num_videos)} |", "|---" * (len(columns) + 1) + "|"]
    for name in sorted(names, key=lambda name: name.endswith("first run")):
        cells = (f"{column[name]:.2f}" if name in column else "-" for column in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
