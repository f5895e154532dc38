"""`doit verify` beside `xxhsum -H2`, the same hash by a program in C, on 4 GiB.

    python -m benchmarks.verify [--folder PLACE]        # written to benchmarks/results/verify.md
    python -m benchmarks.verify --gib 1                 # printed only

Needs xxhsum (`apt-get install xxhash`). The same files are read by both, which take turns: as four artifacts and as
one, from the page cache and, after it was told to drop them, from the disk. Each time is the least of some runs,
because other work on the machine only adds. xxhsum reads one file after the other; it is also given two at a time.
"""

import argparse
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.project import PROJECT, demo_tables, environment, write_project
from stages.keys import Digest, Node
from stages.store.artifacts import Store

RESULT = PROJECT / "benchmarks/results/verify.md"
GIB = 4
NUM_RUNS = 5
_BLOCK_BYTES = 1 << 24
_PAYLOAD = "frames.safetensors"
_SPEED = re.compile(r", (?P<speed>[\d.]+) (?P<unit>GiB|MiB)/s\.")


@dataclass(frozen=True)
class Times:
    """Of the fastest runs.

    Attributes:
        xxhsum, pairs, doit: seconds; pairs is xxhsum on two files at a time.
        xxhsum_cpu, doit_cpu: seconds of processors, which other work on the machine hardly changes.
        reading: seconds for a GiB, as doit says itself.
    """

    xxhsum: float
    xxhsum_cpu: float
    pairs: float
    doit: float
    doit_cpu: float
    reading: float


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=int, default=GIB, help="to read; other than the default is not written")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured, in place of the temporary one")
    parser.add_argument("--runs", type=int, default=NUM_RUNS, help="of each command, of which the fastest counts")
    options = parser.parse_args()
    rows = []
    for num_artifacts in (4, 1):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            files = write_store(Path(name), num_artifacts, (options.gib << 30) // num_artifacts)
            for state, prepare in (("page cache", keep), ("disk", drop)):
                times = measure(Path(name), files, prepare, options.runs)
                rows.append(to_row(num_artifacts, state, options.gib, times))
                print(rows[-1], flush=True)
    text = describe(options.gib, options.runs) + "\n".join(rows) + "\n"
    print(text)
    if options.gib == GIB:
        RESULT.write_text(text, encoding="utf-8")


def write_store(folder: Path, num_artifacts: int, size_bytes: int) -> list[Path]:
    """A project with artifacts of this size, published as a stage does; their files."""
    write_project(folder, {"demo": demo_tables()})
    store, block = Store(folder / "artifacts"), os.urandom(_BLOCK_BYTES)
    files = []
    for number in range(num_artifacts):
        node = Node("decode", {"number": number}, {}, {})
        with store.draft() as draft:
            with (draft / _PAYLOAD).open("wb") as file:
                for _ in range(size_bytes // _BLOCK_BYTES):
                    file.write(block)
            store.publish(node, draft, payload=_PAYLOAD, inputs={}, code=Digest("0" * 32), run={})
        files.append(store.payload(node.artifact))
    return files


def keep(files: Sequence[Path]) -> None:
    """Have all files in the page cache."""
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.read(_BLOCK_BYTES):
                pass


def drop(files: Sequence[Path]) -> None:
    """Have none of them there. They were synced when they were published, so that the kernel obeys."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def measure(folder: Path, files: Sequence[Path], prepare: Callable[[Sequence[Path]], None], num_runs: int) -> Times:
    """Run all in turns, each with the files where `prepare` puts them."""
    names = [str(path) for path in files]
    doit = [sys.executable, "-m", "doit", "verify", "--all"]
    pairs = ["xargs", "-n", "1", "-P", "2", "xxhsum", "-H2"]
    found = []
    for _ in range(num_runs):
        prepare(files)
        alone, _ = timed(["xxhsum", "-H2", *names], folder)
        prepare(files)
        together, _ = timed(pairs, folder, "\n".join(names))
        prepare(files)
        ours, printed = timed(doit, folder)
        match = _SPEED.search(printed)
        if match is None or "damaged" in printed:
            raise RuntimeError(printed)
        speed = float(match["speed"]) / (1 if match["unit"] == "GiB" else 1024)
        found.append((*alone, together[0], *ours, 1 / speed))
    return Times(*(min(column) for column in zip(*found, strict=True)))


def timed(command: Sequence[str], folder: Path, stdin: str = "") -> tuple[tuple[float, float], str]:
    """Seconds, and those of processors, of a command that has to succeed, and what it printed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(  # noqa: S603 (no shell)
        command, cwd=folder, env=environment(), check=True, input=stdin, capture_output=True, text=True
    )
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (seconds, cpu_s), done.stdout


def to_row(num_artifacts: int, state: str, gib: int, times: Times) -> str:
    """A row of the table."""
    speeds = [gib / times.xxhsum, gib / times.pairs, gib / times.doit, 1 / times.reading]
    ratios = [times.xxhsum / times.doit, times.xxhsum / gib / times.reading]
    figures = " | ".join(f"{each:.2f}" for each in (*speeds, *ratios, times.xxhsum_cpu, times.doit_cpu))
    return f"| {num_artifacts} | {state} | {figures} |"


def describe(gib: int, num_runs: int) -> str:
    """The head of the page."""
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cpu = next(line.split(": ")[1] for line in cpu_info.splitlines() if line.startswith("model name"))
    done = subprocess.run(["xxhsum", "--version"], check=True, capture_output=True, text=True)  # noqa: S607
    version = (done.stdout + done.stderr).splitlines()[0].split(" by ")[0]
    return (
        "# Verifying a store\n\n"
        f"`python -m benchmarks.verify`, which says how it is measured. {cpu}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {version}; the machine's load was {os.getloadavg()[0]:.0f}. GiB/s of {gib} GiB, "
        f"the fastest of {num_runs} runs in turns; `doit verify` is the whole command, starting Python and reading the "
        "parameters included, and reading is what it says itself. Ratios are to xxhsum on one file after the other. "
        "The last columns are seconds of processors.\n\n"
        "| artifacts | read from | `xxhsum -H2` | two at a time | `doit verify` | reading | ratio | ratio of reading | "
        "CPU of xxhsum | CPU of doit |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n"
    )


if __name__ == "__main__":
    main()
