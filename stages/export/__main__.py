"""Edge of the export stage: frames in, `video.mp4` out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.contracts import CONTRACTS, check_shapes
from stages.export.provenance import describe_provenance
from stages.export.video import write_video
from stages.geometry import VideoSize
from stages.job import Job, Report, serve
from stages.keys import JsonValue
from stages.store import Store
from stages.tensors import TensorReader


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Write a node's frames to a video file."""
    source = job.input("decode")
    frames = TensorReader(source, "frames")
    check_shapes("decode", {"frames": frames.shape}, where=str(source))
    _, num_frames, height, width, _ = frames.shape
    parameters: Mapping[str, Any] = job.node.parameters
    with report.phase("export"):
        write_video(
            frames,
            draft / CONTRACTS["export"].payload,
            size=VideoSize(num_frames, height, width),
            fps=parameters["fps"],
            codec=parameters["codec"],
            crf=parameters["crf"],
            metadata=describe_provenance(_ancestors(job)),
            progress=lambda done, total: report.progress(done, total, "frame"),
        )
    return {"device": "cpu"}


def _ancestors(job: Job) -> list[dict[str, Any]]:
    """Stage, key and parameters of this node and of all that it is made from."""
    store = Store(job.store)
    lineage = store.lineage("decode", job.node.inputs["decode"])
    described = [{"stage": m.stage, "key": m.key, "parameters": m.parameters} for m in lineage]
    return [{"stage": "export", "key": job.node.key, "parameters": job.node.parameters}, *described]


if __name__ == "__main__":
    serve(run)
