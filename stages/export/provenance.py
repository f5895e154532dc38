"""What a video says about how it was made: one line of JSON for the container's metadata.

Owns the form of that line. The manifests come from the store; video.py writes the line into the file.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

FORMAT = 1  # of the line; grows when a name in it changes its meaning


def describe_provenance(manifests: Sequence[Mapping[str, Any]]) -> str:
    """The prompt, all parameters and the keys of the stages that made a video.

    Args:
        manifests: one for each stage up to and with `export`, in any order; of each, `stage`, `key` and
            `parameters` are read. Parameters are what JSON can hold, without NaN and infinities.
    Returns:
        One line of JSON, sorted names, no spaces, text as it is (UTF-8, not escaped): equal manifests give
        equal characters. `prompt` is there twice, because it is what people look for; it is null when the
        embeddings came from a file.
    Raises:
        ValueError: a parameter is NaN or infinite.
    """
    stages = {
        manifest["stage"]: {"key": manifest["key"], "parameters": manifest["parameters"]} for manifest in manifests
    }
    prompt = stages.get("encode", {"parameters": {}})["parameters"].get("prompt")
    record = {"format": FORMAT, "prompt": prompt, "stages": stages}
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
