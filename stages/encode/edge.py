"""Edge of the encode stage: a job in, `embeddings.safetensors` out."""

from collections.abc import Mapping
from pathlib import Path

from stages.encode.text_encoders import TextEncoders, encode_prompts, find_truncations
from stages.keys import JsonValue
from stages.models.checkpoint import Checkpoint
from stages.pipeline.contracts import EMBEDDINGS
from stages.run.job import Job, Run
from stages.run.report import Report
from stages.tensors.files import write_tensors


def open_stage() -> Run:
    """The stage for one process; it keeps the text encoders for the next job."""
    return EncodeStage().run


class EncodeStage:
    """Encodes one job after another, and holds the text encoders of the last one."""

    def __init__(self) -> None:
        """Nothing is loaded before the first job."""
        self._encoders: TextEncoders | None = None

    def run(self, job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
        """Encode a node's two prompts."""
        parameters = job.parameters
        prompt, negative_prompt = str(parameters["prompt"]), str(parameters["negative_prompt"])
        if not prompt:
            report.warn("encode.prompt is empty: the video will show anything.")
        with report.phase("load"):
            encoders = self._load(job.checkpoint, str(parameters["dtype"]))
        for text in (prompt, negative_prompt):
            for truncation in find_truncations(encoders, text):
                report.warn(truncation.describe())
        with report.phase("encode"):
            tensors = encode_prompts(
                encoders, prompt, negative_prompt, lambda done, total: report.progress(done, total, "prompt")
            )
        write_tensors(draft / EMBEDDINGS.payload, tensors)
        return {"device": "cpu"}

    def _load(self, checkpoint: Checkpoint, dtype: str) -> TextEncoders:
        """The encoders of the job before, if they are the same; else those are let go first: both may not fit."""
        if self._encoders is None or not self._encoders.is_of(checkpoint, dtype=dtype):
            self._encoders = None
            self._encoders = TextEncoders.load(checkpoint, dtype=dtype)
        return self._encoders
