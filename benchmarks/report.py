"""How long `doit report` takes for many videos, again, and after one has changed; and a `doit` that has nothing to do.

    python -m benchmarks.report [NUM_VIDEOS]

Fills a store with the artifacts of a sweep, published as stages do: each export is a real video of 24 frames, 96x64,
and of bytes of its own, so that each is painted. Then runs the commands, each in a process of its own.
"""

import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.project import demo_tables, write_project
from stages.export.video import write_video
from stages.geometry import VideoSize
from stages.run.build import Build
from stages.run.loading import load_build
from stages.store.artifacts import Store
from stages.store.inputs import check_inputs
from stages.store.layout import REPORT

_NUM_VIDEOS = 1000
_SIZE = VideoSize(24, 64, 96)
_PAUSES = 5  # runs with nothing to do, of which the median is said


def main() -> None:
    """Print the seconds."""
    num_videos = int(sys.argv[1]) if len(sys.argv) > 1 else _NUM_VIDEOS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_project(root, {"many": {**demo_tables(), "sweep": {"denoise.seed": f"1..{num_videos}"}}})
        _run(root, "list")  # which numbers the videos of the sweep
        build = load_build(root, {})
        fill(build)
        without = median(_run(root)[0] for _ in range(_PAUSES))
        for what in ("first", "again"):
            _say(what, *_run(root, "report"))
        first, second = (build.graph.videos[name]["export"].artifact for name in ("many-1", "many-2"))
        build.links.point_to("many-1", second)
        _say("after one has changed", *_run(root, "report"))
        build.links.point_to("many-1", first)
        _run(root, "report")
        beside = median(_run(root)[0] for _ in range(_PAUSES))
        print(f"doit with nothing to do: {without:.2f} s of CPU without a report, {beside:.2f} s with one")
        size = sum(path.stat().st_size for path in (root / "artifacts" / REPORT).rglob("*") if path.is_file())
        print(f"the report has {size / 1e6:.1f} MB")


def fill(build: Build) -> None:
    """Publish all nodes of all videos, and their links."""
    store, clip = Store(build.store.root), _make_clip(build.root / "clip.mp4")
    for name, chain in build.graph.videos.items():
        for stage, node in chain.items():
            if store.manifest(node.artifact) is not None:
                continue
            with store.draft() as draft:
                payload = build.pipeline[stage].makes.payload
                # a box `free` at its end, which players skip, makes each file another one
                content = clip + b"\0\0\0\x28free" + node.key.encode() if stage == "export" else node.key.encode()
                (draft / payload).write_bytes(content)
                inputs, code = check_inputs(store, node), build.code[build.program_of(node).package]
                store.publish(node, draft, payload=payload, inputs=inputs, code=code, run={"wall_s": {stage: 1.0}})
        build.links.point_to(name, chain["export"].artifact)


def _make_clip(file: Path) -> bytes:
    shades = np.linspace(-1, 1, _SIZE.num_frames, dtype=np.float32)
    frames = (np.full((_SIZE.height, _SIZE.width, 3), shade, np.float32) for shade in shades)
    write_video(frames, file, size=_SIZE, fps=Fraction(12), codec="h264", crf=18, metadata="", progress=lambda *_: None)
    return file.read_bytes()


def _run(root: Path, *command: str) -> tuple[float, float, str]:
    """Seconds of CPU and of the clock that a command takes, and its last line."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(  # noqa: S603 (this project's own program)
        [sys.executable, "-m", "doit", *command], cwd=root, check=True, capture_output=True, text=True
    )
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s, wall_s, (done.stdout.splitlines() or [""])[-1]


def _say(what: str, cpu_s: float, wall_s: float, said: str) -> None:
    print(f"{wall_s:6.2f} s ({cpu_s:5.2f} s of CPU)  {what}: {said}", flush=True)


if __name__ == "__main__":
    main()
