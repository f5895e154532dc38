"""What a video says about how it was made: one line of JSON for the container's metadata.

Owns the form of that line. The manifests come from the store; video.py writes the line into the file.
"""

import json
from collections.abc import Sequence

from stages.keys import Digest, Node
from stages.store.manifest import Manifest

FORMAT = 1  # of the line; grows when a name in it changes its meaning

# JSON lets these stand as they are, but they break lines; of the others that do, json escapes all.
_LINE_BREAKS = str.maketrans({char: f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"})


def describe_provenance(node: Node, lineage: Sequence[Manifest], code: Digest) -> str:
    """The prompt, and of each stage that made a video its parameters, its key, its model and its code.

    Args:
        node: that of the video, which has no manifest yet.
        lineage: manifests of all that it is made from, in any order.
        code: fingerprint of the code that makes the video; that of the stages before stands in their manifests.
    Returns:
        One line of JSON, sorted names, no spaces, text as it is (not escaped, but for line breaks): equal
        nodes and code give equal characters. `components` of a stage are the identities of what it reads of the model:
        digests of names and content. `prompt` is there twice, because it is what people look for; it is null where a
        file from elsewhere took its place, whose digest is the only parameter of that stage, `from_file`.
    """
    made = [(node, code), *((manifest.node, manifest.code) for manifest in lineage)]
    stages = {
        node.stage: {
            "key": node.key,
            "parameters": dict(node.parameters),
            "components": dict(node.components),
            "code": code,
        }
        for node, code in made
    }
    prompt = next((node.parameters.get("prompt") for node, _ in made if node.stage == "encode"), None)
    record = {"format": FORMAT, "prompt": prompt, "stages": stages}
    line = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return line.translate(_LINE_BREAKS)
