"""Peak memory of the decode and the export process for videos of several lengths.

    python -m benchmarks.stage_memory                          # 256x256, 49, 97 and 193 frames
    python -m benchmarks.stage_memory --size 512 --frames 97 193

Random latents go in as a file, so that nothing is denoised. Prints each process's peak resident memory, as run.json has
it, what of it is above that of the shortest video, and the bytes of the frames.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.project import demo_tables, run_doit, write_project
from stages.geometry import VideoSize, latent_size
from stages.tensors.files import write_tensors

MIB = 2**20


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="height and width, pixels, a multiple of 16")
    parser.add_argument("--frames", type=int, nargs="+", default=[49, 97, 193], help="numbers of frames, each 4k + 1")
    options = parser.parse_args()
    shortest: dict[str, float] = {}
    print(f"{'stage':<8} {'frames':>6} {'peak MiB':>9} {'more than the shortest':>23} {'frames MiB':>11}")
    for num_frames in options.frames:
        size = VideoSize(num_frames, options.size, options.size)
        frames_mib = num_frames * options.size**2 * 3 * 2 / MIB  # bfloat16
        for stage, peak in measure(size).items():
            more = peak / shortest.setdefault(stage, peak) - 1
            print(f"{stage:<8} {num_frames:6} {peak:9.0f} {more:23.1%} {frames_mib:11.0f}", flush=True)


def measure(size: VideoSize) -> dict[str, float]:
    """Peak resident MiB of the process of each stage that makes a video of this size, each in a process of its own."""
    latent = latent_size(size)
    values = np.random.default_rng(0).standard_normal((1, 32, latent.num_frames, latent.height, latent.width))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tensors(folder / "latents.safetensors", {"latents": values.astype(np.float32)})
        demo = demo_tables()
        video = {"denoise": {"from_file": "latents.safetensors"}, "decode": demo["decode"], "export": demo["export"]}
        write_project(folder, {"noise": video})
        run_doit(folder)
        runs = {path.parent.parent.name: json.loads(path.read_text()) for path in folder.glob("artifacts/*/*/run.json")}
    return {stage: runs[stage]["peak_memory_bytes"] / MIB for stage in ("decode", "export")}


if __name__ == "__main__":
    main()
