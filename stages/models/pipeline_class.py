"""Which pipeline a checkpoint was made for, from its `model_index.json` and the names of its folders.

Owns what is said of checkpoints of another task, of another model and in another layout.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from stages.errors import CheckpointError
from stages.models.settings import read_settings

MODEL_INDEX = "model_index.json"
PIPELINE = "HunyuanVideo15Pipeline"
_IMAGE_TO_VIDEO = "HunyuanVideo15ImageToVideoPipeline"
_FOR_DIFFUSERS = "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-720p_t2v"
# A folder of weights per task in the place of one, as tencent/HunyuanVideo-1.5 has them.
_ORIGINAL_LAYOUT = re.compile(r"transformer/(\w*_[ti]2v\w*)/config\.json")


def explain_class(folder: Path) -> str | None:
    """What keeps the transformer of a checkpoint's folder from text-to-video, or None; also without a model index."""
    index = folder / MODEL_INDEX
    if not index.is_file():
        return None
    try:
        name = read_settings(index).values.get("_class_name")
    except CheckpointError as error:
        return str(error)
    if name == PIPELINE:
        return None
    if name == _IMAGE_TO_VIDEO:
        return (
            f"{index}: is an image-to-video checkpoint ({name}), which is made for a first frame that nothing here "
            f"gives it. Use a text-to-video checkpoint of HunyuanVideo-1.5, such as {_FOR_DIFFUSERS}."
        )
    return (
        f"{index}: is of {name!r}, not of {PIPELINE}. Use a checkpoint of HunyuanVideo-1.5 that diffusers reads, such "
        f"as {_FOR_DIFFUSERS}."
    )


def explain_layout(where: str, paths: Iterable[str]) -> str | None:
    """What to say of the model's original repository, whose files have other names; None of any other.

    Args:
        where: the checkpoint, for people.
        paths: of its files, with "/".
    """
    found = sorted(match[1] for path in paths if (match := _ORIGINAL_LAYOUT.fullmatch(path)))
    if not found:
        return None
    return (
        f"{where}: has a transformer for each of {', '.join(found)}: this is the layout of tencent/HunyuanVideo-1.5, "
        f"with other names of weights. Use the checkpoint that diffusers reads, such as {_FOR_DIFFUSERS}."
    )


def explain_missing_index(folder: Path) -> str | None:
    """What to say of a folder without a model index, which would tell what it is for; None where it is there."""
    if (folder / MODEL_INDEX).is_file():
        return None
    return (
        f"{folder}: has no {MODEL_INDEX}, so that nothing says for which pipeline it was made. It is taken as "
        "text-to-video of HunyuanVideo-1.5."
    )
