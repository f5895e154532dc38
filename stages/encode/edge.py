"""Edge of the encode stage: a job in, `embeddings.safetensors` out."""

from collections.abc import Mapping
from pathlib import Path

from stages.encode.text_encoders import TextEncoders, encode_prompts, find_truncations, load_text_encoders
from stages.keys import JsonValue
from stages.pipeline.contract import CONTRACTS
from stages.run.held_model import HeldModel
from stages.run.job import Job, Report
from stages.tensors.files import write_tensors

_HELD: HeldModel[TextEncoders] = HeldModel()  # the next job of this process mostly wants the same model


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Encode a node's two prompts."""
    contract = CONTRACTS["encode"]
    parameters = job.node.parameters
    prompt, negative_prompt = str(parameters["prompt"]), str(parameters["negative_prompt"])
    with report.phase("load"):
        folders = {name: job.component(name) for name in contract.components}
        dtype = str(parameters["dtype"])
        encoders = _HELD.get((*folders.values(), dtype), lambda: load_text_encoders(folders, dtype=dtype))
    for text in (prompt, negative_prompt):
        for truncation in find_truncations(encoders, text):
            report.warn(truncation.describe())
    with report.phase("encode"):
        tensors = encode_prompts(
            encoders, prompt, negative_prompt, lambda done, total: report.progress(done, total, "prompt")
        )
    write_tensors(draft / contract.payload, tensors)
    return {"device": "cpu"}
