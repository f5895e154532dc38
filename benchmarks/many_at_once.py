"""Many `doit` on one store at once, with the built-in checkpoint, also when the one that makes is killed or stopped.

    python -m benchmarks.many_at_once            # written to benchmarks/results/many_at_once.md; minutes
    python -m benchmarks.many_at_once --only cold

Everything is the real thing: processes of doit and of the stages, started from two clones of a project that have one
store between them. Who makes a node is read from the lease.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from benchmarks.project import PROJECT, Tables, demo_tables, environment, write_project
from stages.machine.regular_files import digest_file

RESULTS = PROJECT / "benchmarks/results/many_at_once.md"
STAGES = ("encode", "denoise", "decode", "export")
NUM_RUNS = 8
NUM_STEPS = 2
STOP_S = 30
_LOOK_S = 0.005
_PATIENCE_S = 600.0
# A user who may read everything, such as this user's Python, and may write only where permissions say so.
_OTHER_USER = (
    *("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


def main() -> None:
    """Measure and write the page."""
    scenes: Mapping[str, Callable[[Path], list[str]]] = {
        "cold": cold,
        "failing": failing,
        "killed": killed,
        "stopped": stopped,
        "users": users,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=scenes, help="one part, which is printed only")
    options = parser.parse_args()
    lines: list[str] = [_describe()]
    for name, scene in scenes.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                lines += scene(Path(folder))
    text = "\n".join(lines) + "\n"
    print(text)
    if options.only is None:
        RESULTS.write_text(text, encoding="utf-8")


def cold(folder: Path) -> list[str]:
    """Runs of two clones on an empty store, and one on a store of its own."""
    clones = write_clones(folder, {"demo": video()})
    alone = write_clones(folder / "alone", {"demo": video()})[0]
    start = time.monotonic()
    runs = [Run(clones[number % 2]) for number in range(NUM_RUNS)]
    outputs = [run.wait() for run in runs]
    wall_s = time.monotonic() - start
    start = time.monotonic()
    Run(alone).wait()
    alone_s = time.monotonic() - start
    is_equal = digests(folder / "store") == digests(folder / "alone/store")
    return [
        f"## {NUM_RUNS} cold runs of two clones on one store",
        "",
        f"- succeeded: {sum(run.code == 0 for run in runs)} of {NUM_RUNS}",
        f"- times that each node was made: {sorted(made(outputs).values())}, one for each of {len(STAGES)} stages",
        f"- bytes of all payloads are those of a run by itself: {is_equal}",
        f"- seconds: {wall_s:.1f}; of one run by itself on an empty store: {alone_s:.1f}",
        "",
    ]


def failing(folder: Path) -> list[str]:
    """The second clone has a video whose latents are not numbers, so that it fails in a stage."""
    clones = write_clones(folder, {"demo": video()})
    save_file({"latents": np.full((1, 32, 3, 6, 6), np.nan, np.float32)}, clones[1] / "nan.safetensors")
    (clones[1] / "params/videos/broken.toml").write_text('[denoise]\nfrom_file = "nan.safetensors"\n')
    runs = [Run(clones[number % 2], *(("--continue",) if number % 2 else ())) for number in range(NUM_RUNS)]
    outputs = [run.wait() for run in runs]
    codes = [[run.code for run in runs[place::2]] for place in range(2)]
    named = sum("failed:" in output for output in outputs)
    return [
        "## The same, and one of the clones has a video that fails",
        "",
        f"- exit codes of the runs in the sound clone: {codes[0]}",
        f"- exit codes of the runs in the other, with `--continue`: {codes[1]}; {named} of them name the failure",
        f"- times that each node was made: {sorted(made(outputs).values())}",
        "",
    ]


def killed(folder: Path) -> list[str]:
    """In each stage, the run that makes is killed, or its stage's process."""
    clones = write_clones(folder, {"demo": video()})
    Run(clones[0]).wait()
    before = digests(folder / "store")
    lines = [
        "## The one that makes is killed (SIGKILL)",
        "",
        "| stage | killed | taken over after | then |",
        "|---|---|---|---|",
    ]
    for stage in STAGES:
        for victim in ("doit", "its child"):
            Run(clones[0], "forget", stage).wait()
            runs = [Run(clone) for clone in clones]
            maker = next_maker(folder / "store", stage, {run.process.pid for run in runs})
            other = next(run for run in runs if run.process.pid != maker)
            time.sleep(1.0 if stage != "export" else 0.0)  # so that the other waits for it
            os.kill(maker if victim == "doit" else child_of(maker, stage), signal.SIGKILL)
            start = time.monotonic()
            next_maker(folder / "store", stage, {other.process.pid})
            taken_s = time.monotonic() - start
            other.wait()
            [run.wait() for run in runs]
            end = (
                "equal bytes" if other.code == 0 and digests(folder / "store") == before else f"exit code {other.code}"
            )
            lines.append(f"| {stage} | {victim} | {taken_s:.2f} s | the other run succeeds, {end} |")
    return [*lines, ""]


def stopped(folder: Path) -> list[str]:
    """The run that makes, or its stage's process, is stopped for a while."""
    clones = write_clones(folder, {"demo": video()})
    Run(clones[0]).wait()
    before = digests(folder / "store")
    lines = [
        f"## The one that makes is stopped for {STOP_S} s (SIGSTOP)",
        "",
        "| stopped | what becomes of it |",
        "|---|---|",
    ]
    for victim in ("doit", "its child"):
        Run(clones[0], "forget", "denoise").wait()
        runs = [Run(clone) for clone in clones]
        maker = next_maker(folder / "store", "denoise", {run.process.pid for run in runs})
        time.sleep(1)
        process = maker if victim == "doit" else child_of(maker, "denoise")
        start = time.monotonic()
        os.kill(process, signal.SIGSTOP)
        time.sleep(STOP_S)
        os.kill(process, signal.SIGCONT)
        outputs = [run.wait() for run in runs]
        wall_s = time.monotonic() - start
        is_equal = digests(folder / "store") == before
        lines.append(
            f"| {victim} | exit codes {[run.code for run in runs]} after {wall_s:.1f} s, denoise made "
            f"{sum(number for title, number in made(outputs).items() if title.startswith('denoise'))} times, "
            f"equal bytes: {is_equal} |"
        )
    return [*lines, ""]


def users(folder: Path) -> list[str]:
    """Root and another user, both with the umask that keeps others from writing, on a store that both may write to."""
    if os.geteuid() or shutil.which(_OTHER_USER[0]) is None:
        return ["## Two users", "", "Not tried: it takes root and setpriv.", ""]
    lines = [
        "## Two users on one store, umask 022",
        "",
        "| the store's folder | exit codes | times that each node was made |",
        "|---|---|---|",
    ]
    for mode in (0o777, 0o1777):
        place = folder / f"{mode:o}"
        clones = write_clones(place, {"demo": video()})
        for path in (folder, place):
            path.chmod(0o755)
        (place / "store").mkdir()
        (place / "store").chmod(mode)
        for path in (clones[1], *clones[1].rglob("*")):
            os.chown(path, 12345, 12345)
        runs = [Run(clone, prefix=prefix) for clone, prefix in zip(clones * 2, ((), _OTHER_USER) * 2, strict=True)]
        outputs = [run.wait() for run in runs]
        lines.append(f"| {mode:o} | {[run.code for run in runs]} | {sorted(made(outputs).values())} |")
    return [*lines, ""]


class Run:
    """A `doit` that runs."""

    def __init__(self, clone: Path, *arguments: str, prefix: Sequence[str] = ()) -> None:
        """Start it in a clone's folder; `prefix` is a command that starts it."""
        variables = environment() | ({"HOME": str(clone)} if prefix else {})
        self.process = subprocess.Popen(  # noqa: S603 (no shell)
            [*prefix, sys.executable, "-m", "doit", *arguments],
            cwd=clone,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._output: str | None = None

    @property
    def code(self) -> int | None:
        """Its exit code."""
        return self.process.returncode

    def wait(self) -> str:
        """What it has printed."""
        if self._output is None:
            self._output, _ = self.process.communicate(timeout=_PATIENCE_S)
        return self._output


def video() -> Tables:
    """The default video with few steps."""
    tables = demo_tables()
    return {**tables, "denoise": {**tables["denoise"], "num_inference_steps": NUM_STEPS}}


def write_clones(folder: Path, videos: Mapping[str, Tables]) -> list[Path]:
    """Two projects with one store, `folder / "store"`."""
    clones = [folder / "one", folder / "other"]
    for clone in clones:
        clone.mkdir(parents=True)
        write_project(clone, videos)
        path = clone / "params/machine.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('artifacts = "artifacts"', f"artifacts = {json.dumps(str(folder / 'store'))}"))
    return clones


def made(outputs: Iterable[str]) -> Mapping[str, int]:
    """How often each node was made, by all runs together."""
    return Counter(title for output in outputs for title in re.findall(r"^(\S+)  made in ", output, re.MULTILINE))


def digests(store: Path) -> dict[str, str]:
    """Digest of each artifact's payload, by the path of its folder, of those that are sealed."""
    folders = {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in store.glob("*/*/manifest.json")}
    return {
        str(folder.relative_to(store)): digest_file(folder / manifest["payload"])
        for folder, manifest in folders.items()
    }


def next_maker(store: Path, stage: str, among: set[int]) -> int:
    """The first of these processes to have a lease on a node of a stage."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for path in store.glob(f".leases/{stage}-*.json"):
            try:
                holder: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue  # it was given back, or is just being written
            if holder["process"] in among:
                return int(holder["process"])
        time.sleep(_LOOK_S)
    raise TimeoutError(f"nobody makes {stage}")


def child_of(process: int, stage: str) -> int:
    """The process of a stage that a doit has started."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for path in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                command = (path / "cmdline").read_bytes()
            except (OSError, ValueError):
                continue
            if parent == process and f"stages.{stage}\0".encode() in command:
                return int(path.name)
        time.sleep(_LOOK_S)
    raise TimeoutError(f"{stage} has no process")


def _describe() -> str:
    return (
        "# Many at once\n\n`python -m benchmarks.many_at_once`: the default video of the built-in checkpoint, "
        f"{NUM_STEPS} steps, on {os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}.\n"
    )


if __name__ == "__main__":
    main()
