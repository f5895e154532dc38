"""The processes that benchmarks/cpu_pipeline.py starts: one side each, which prints what it has measured.

    python -m benchmarks.cpu_sides stages FOLDER      # denoise and decode, as their processes do it
    python -m benchmarks.cpu_sides pipeline FOLDER    # all of diffusers' pipeline

FOLDER is a project whose one video has been built.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from diffusers import ClassifierFreeGuidance, HunyuanVideo15Pipeline

from stages.decode import edge as decode
from stages.denoise import edge as denoise
from stages.keys import JsonValue, Node
from stages.run.build import Build
from stages.run.job import Job, Run
from stages.run.loading import load_build
from stages.run.report import Report
from stages.tensors.files import read_tensors

Measures: TypeAlias = dict[str, float]
# Kinds of event, with the name of the phase or the unit of the progress, at which the clock ticks.
TICKS = {("progress", "step"), ("phase", "decode"), ("progress", "latent frame")}


class Clock:
    """Wall and CPU seconds, of all threads, from tick to tick."""

    def __init__(self) -> None:
        self._ticks: list[tuple[float, float]] = []

    def tick(self) -> None:
        """Note the time."""
        self._ticks.append((time.perf_counter(), time.process_time()))

    def median(self, name: str) -> Measures:
        """The median time between two ticks."""
        wall_s, cpu_s = np.median(np.diff(self._ticks, axis=0), axis=0)
        return {f"{name}_s": float(wall_s), f"{name}_cpu_s": float(cpu_s)}

    def total(self, name: str) -> Measures:
        """From the first tick to the last."""
        wall_s, cpu_s = np.subtract(self._ticks[-1], self._ticks[0])
        return {f"{name}_s": float(wall_s), f"{name}_cpu_s": float(cpu_s)}


def main() -> None:
    """Run one side and print its measures as a line of JSON."""
    side, folder = sys.argv[1:]
    build = load_build(Path(folder), {})
    (nodes,) = build.graph.videos.values()
    measures = {"stages": run_stages, "pipeline": run_pipeline}[side](build, nodes)
    print(json.dumps(measures))


def run_stages(build: Build, nodes: Mapping[str, Node]) -> Measures:
    """Denoise once and decode twice by the stages' own code."""
    run_denoise, run_decode = denoise.open_stage(), decode.open_stage()
    steps = time_stage(build.job(nodes["denoise"]), run_denoise)
    _, decoding = (time_stage(build.job(nodes["decode"]), run_decode) for _ in range(2))
    return steps.median("step") | decoding.total("decode")


def time_stage(job: Job, run: Run) -> Clock:
    """Do a job without publishing it, with a tick at the end of each step or latent frame, and when decode starts."""
    clock = Clock()

    def send(event: Mapping[str, JsonValue]) -> None:
        if (event["event"], event.get("name", event.get("unit"))) in TICKS:
            clock.tick()

    with tempfile.TemporaryDirectory() as draft:
        run(job, Path(draft), Report(send))
    return clock


def run_pipeline(build: Build, nodes: Mapping[str, Node]) -> Measures:
    """Load, encode, denoise and decode by diffusers' pipeline, with the parameters of the video."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    node = nodes["denoise"]
    parameters: Mapping[str, Any] = {**nodes["encode"].parameters, **node.parameters}
    checkpoint = build.graph.checkpoint_of(node).folder
    pipeline = HunyuanVideo15Pipeline.from_pretrained(checkpoint, dtype=torch.float32, local_files_only=True)
    pipeline.guider = ClassifierFreeGuidance(guidance_scale=parameters["guidance_scale"])
    steps, decoding = Clock(), Clock()

    euler_step = pipeline.scheduler.step

    def step(*arguments: Any, **options: Any) -> Any:
        """The pipeline has no callback: a step ends with the scheduler's own."""
        result = euler_step(*arguments, **options)
        steps.tick()
        return result

    pipeline.scheduler.step = step
    names = ("prompt", "negative_prompt", "num_frames", "height", "width", "num_inference_steps")
    latents = pipeline(
        **{name: parameters[name] for name in names},
        generator=torch.Generator("cpu").manual_seed(parameters["seed"]),
        output_type="latent",
    ).frames
    decoding.tick()
    with torch.no_grad():
        frames = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    pipeline.video_processor.postprocess_video(frames, output_type="np")
    decoding.tick()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ours = read_tensors(build.store.payload(node.artifact))["latents"]
    difference = float(np.abs(latents.numpy() - ours).max())
    return steps.median("step") | decoding.total("decode") | {"peak_mib": peak_mib, "difference": difference}


if __name__ == "__main__":
    main()
