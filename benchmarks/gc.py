"""How long `doit gc`, `doit du` and `doit pins` take on a store of 2,000 artifacts.

    python -m benchmarks.gc [NUM_ARTIFACTS]

Fills a store with chains of small artifacts: of the shipped video, and of others that differ from it in their seeds,
published as stages do. Then runs the commands, each in a process of its own, and prints their seconds.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from stages.keys import Node
from stages.run.build import Build
from stages.run.loading import load_build
from stages.store.artifacts import Store
from stages.store.inputs import check_inputs

_NUM_ARTIFACTS = 2000
_PROJECT = Path(__file__).parent.parent
_COMMANDS = (
    ("du",),
    ("gc", "--keep", "0", "--dry-run"),
    ("gc",),
    ("gc", "--keep", "30d"),
    ("gc", "--keep", "1MB"),
    ("gc", "--keep", "0"),
    ("gc", "--keep", "0"),
)


def main() -> None:
    """Print a table."""
    num_artifacts = int(sys.argv[1]) if len(sys.argv) > 1 else _NUM_ARTIFACTS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("dodo.py", "pyproject.toml"):
            shutil.copy(_PROJECT / name, root / name)
        shutil.copytree(_PROJECT / "params", root / "params")
        build = load_build(root, {})
        start = time.perf_counter()
        number = fill(build, num_artifacts)
        print(f"filled with {number} artifacts in {time.perf_counter() - start:.1f} s")
        for command in _COMMANDS:
            seconds, cpu_s, said = run(root, command)
            left = sum(1 for _ in (root / "artifacts").glob("*/*/manifest.json"))
            timed = f"{seconds:6.2f} s ({cpu_s:5.2f} s of CPU)"
            print(f"{timed}  doit {' '.join(command):<24}  {left} manifests left; {said}", flush=True)


def fill(build: Build, num_artifacts: int) -> int:
    """Publish the shipped video and chains of other seeds; how many artifacts there are then."""
    chain = build.graph.videos["demo"]
    store, number, seed = Store(build.store.root), 0, 0
    nodes = {**chain}
    while True:
        for stage, node in nodes.items():
            if store.manifest(node.artifact) is None:
                with store.draft() as draft:
                    payload = build.pipeline[stage].makes.payload
                    (draft / payload).write_bytes(os.urandom(64) * (200 if stage == "decode" else 10))
                    store.publish(
                        node,
                        draft,
                        payload=payload,
                        inputs=check_inputs(store, node),
                        code=build.code[build.program_of(node).package],
                        run={"wall_s": {stage: 1.0}},
                    )
                number += 1
                if number == num_artifacts:
                    return number
        seed += 1
        nodes = _with_seed(nodes, seed)


def _with_seed(nodes: Mapping[str, Node], seed: int) -> dict[str, Node]:
    """The same chain with another seed."""
    changed: dict[str, Node] = {}
    for stage, node in nodes.items():
        parameters = {**node.parameters, "seed": seed} if "seed" in node.parameters else node.parameters
        inputs = {name: changed[name].key for name in node.inputs}
        changed[stage] = Node(stage, parameters, node.components, inputs)
    return changed


def run(root: Path, command: tuple[str, ...]) -> tuple[float, float, str]:
    """Seconds of a command, those of the CPU, and the last line that it prints."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(  # noqa: S603 (no shell)
        [sys.executable, "-m", "doit", *command], cwd=root, capture_output=True, text=True, check=True
    )
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu_s, done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
