"""Edge of the export stage: frames in, `video.mp4` out."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from stages.errors import ParamsError
from stages.export.cropping import crop_frames
from stages.export.players import explain_limits
from stages.export.provenance import describe_provenance
from stages.export.standstill import ended_at_a_standstill
from stages.export.video import write_video
from stages.geometry import VideoSize
from stages.keys import JsonValue
from stages.pipeline.contract import check_shapes
from stages.pipeline.contracts import FRAMES, VIDEO
from stages.pipeline.crop import CropSize, explain_misfit, read_crop
from stages.run.job import Job, Run
from stages.run.report import Report
from stages.store.artifacts import Store
from stages.store.lineage import read_lineage
from stages.tensors.files import TensorReader


def open_stage() -> Run:
    """What does the jobs of one process; it keeps nothing from one to the next."""
    return run


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Write a node's frames to a video file."""
    source = job.input(FRAMES)
    parameters: Mapping[str, Any] = job.parameters
    lineage = read_lineage(Store(job.store), job.inputs[FRAMES.name])
    with TensorReader(source, "frames") as frames, report.phase("export"):
        check_shapes(FRAMES, {"frames": frames.shape}, where=job.name_input(FRAMES))
        _, num_frames, height, width, _ = frames.shape
        crop = read_crop(parameters["crop"]) or CropSize(width, height)
        if misfit := explain_misfit(crop, width=width, height=height):  # of frames whose size no parameter says
            raise ParamsError(f'export.crop = "{crop}": {misfit} Make it smaller, or leave it out.')
        size, fps = VideoSize(num_frames, crop.height, crop.width), Fraction(parameters["fps"])
        for sentence in explain_limits(parameters["codec"], size, fps):
            report.warn(sentence)
        with ended_at_a_standstill(f"the encoder of {parameters['codec']}"):
            write_video(
                crop_frames(frames, height=crop.height, width=crop.width),
                draft / VIDEO.payload,
                size=size,
                fps=fps,
                codec=parameters["codec"],
                crf=parameters["crf"],
                metadata=describe_provenance(job.node, lineage, job.code),
                progress=lambda done, total: report.progress(done, total, "frame"),
            )
    return {"device": "cpu"}
