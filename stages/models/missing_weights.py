"""What is said of a component without weights that can be read: what lies there in their place, and what to do.

Pure, from names. Which files would be read is decided in component_files.py.
"""

import re
from collections.abc import Collection, Sequence

from stages.models.weight_names import find_variants, single_name
from stages.models.wording import name_some

# What browsers, curl, aria2 and the hub's library call a file that has not come whole.
_UNFINISHED = (".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2", ".tmp")
# Other forms of weights.
_FOREIGN = (
    ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5", ".gguf", ".onnx", ".npz",
    ".bin.index.json", ".pt.index.json",
)  # fmt: skip


def explain_missing_weights(stem: str, variant: str, names: Collection[str], where: str, fix: str) -> str:
    """A message about weights that are not there.

    Args:
        stem: what the names of those that would be read begin with.
        variant: that was asked for, "" for none.
        names: of all files of the component; none of them is an index or single file that would be read.
        where: the component's place.
        fix: what to do where nothing lies in their place.
    """
    wanted = " or ".join(single_name(stem, each) for each in dict.fromkeys((variant, "")))
    return (
        f"{where}: would read {wanted}, or an index of shards, and holds neither. {_explain(stem, sorted(names), fix)}"
    )


def _explain(stem: str, names: Sequence[str], fix: str) -> str:
    if variants := find_variants(names, stem):
        files = name_some(sorted(file for found in variants.values() for file in found))
        quoted = [f'"{variant}"' for variant in variants]
        kinds = f"the variant {quoted[0]}" if len(quoted) == 1 else f"the variants {', '.join(quoted)}"
        return f"There is {files}, weights of {kinds}. Set model.variant = {' or '.join(quoted)}."
    if found := [name for name in names if name.endswith(_UNFINISHED)]:
        return f"There is {name_some(found)}, which has not come whole. Finish that download, or download it again."
    tensors = [name for name in names if name.endswith(".safetensors")]
    if shards := [name for name in tensors if re.search(r"-\d+-of-\d+\.", name)]:
        return (
            f"There is {name_some(shards)}, and no index that says which of them holds what. Download or copy it, too."
        )
    if tensors:
        return (
            f"There is {name_some(tensors)}. If that holds these weights under diffusers' names, rename it; what "
            "another tool has written must be converted first."
        )
    if found := [name for name in names if name.endswith(_FOREIGN)]:
        return (
            f"There is {name_some(found)}, but weights are read from safetensors files only. Use a checkpoint that "
            "has them, or save this one again by `save_pretrained`."
        )
    return f"There is {name_some(names)}. {fix}"
