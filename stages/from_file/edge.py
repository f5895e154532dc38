"""Edge of the program that takes files from elsewhere: a file in, the payload of the stage whose place it takes out."""

from collections.abc import Mapping
from pathlib import Path

from stages.from_file.outside_file import describe_rounding, read_outside_file, refuse_non_finite, restore_bfloat16
from stages.keys import FROM_FILE, Digest, JsonValue
from stages.run.job import Job, Run
from stages.run.report import Report
from stages.tensors.files import write_tensors


def open_stage() -> Run:
    """What does the jobs of one process; it keeps nothing from one to the next."""
    return run


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Write the tensors of a node's file as the node's stage would have written them."""
    path = job.from_file
    assert path is not None
    with report.phase("read"):
        digest = Digest(str(job.node.parameters[FROM_FILE]))
        file = read_outside_file(path, job.makes, stage=job.node.stage, digest=digest)
        tensors = restore_bfloat16(file)
        refuse_non_finite(tensors, where=path)
    for sentence in describe_rounding(file, tensors):
        report.warn(f"{path}: {sentence}")
    write_tensors(draft / job.makes.payload, tensors)
    return {"device": "cpu", FROM_FILE: str(path)}
