"""Edge of the encode stage: a job in, `embeddings.safetensors` out."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from stages.contracts import CONTRACTS, check_shapes
from stages.encode.text_encoders import TextEncoders, encode_prompts, find_cuts, load_text_encoders
from stages.job import Job, Report, serve
from stages.keys import JsonValue
from stages.tensors import write_tensors


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Encode a node's two prompts."""
    contract = CONTRACTS["encode"]
    parameters = job.node.parameters
    prompt, negative_prompt = str(parameters["prompt"]), str(parameters["negative_prompt"])
    with report.phase("load"):
        folders = tuple((name, job.component(name)) for name in contract.components)
        encoders = _load_cached(folders, str(parameters["dtype"]))
    for text in (prompt, negative_prompt):
        for cut in find_cuts(encoders, text):
            report.warn(cut.describe())
    with report.phase("encode"):
        tensors = encode_prompts(
            encoders, prompt, negative_prompt, lambda done, total: report.progress(done, total, "prompt")
        )
    path = draft / contract.payload
    check_shapes("encode", {name: array.shape for name, array in tensors.items()}, where=str(path))
    write_tensors(path, tensors)
    return {"device": "cpu"}


@lru_cache(maxsize=1)  # the next job of this process mostly wants the same model
def _load_cached(folders: tuple[tuple[str, Path], ...], dtype: str) -> TextEncoders:
    return load_text_encoders(dict(folders), dtype=dtype)


if __name__ == "__main__":
    serve(run)
