"""Which pipeline a checkpoint was made for, from its `model_index.json`, before anything else of it is read.

Owns what is said of checkpoints of another task, of another model and in another layout.
"""

from pathlib import Path

from stages.errors import CheckpointError
from stages.models.settings import read_settings

MODEL_INDEX = "model_index.json"
PIPELINE = "HunyuanVideo15Pipeline"
_IMAGE_TO_VIDEO = "HunyuanVideo15ImageToVideoPipeline"
_FOR_DIFFUSERS = "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-720p_t2v"
# A folder of weights per task in the place of one, as tencent/HunyuanVideo-1.5 has them.
_ORIGINAL_LAYOUT = "transformer/*_[ti]2v*/config.json"


def find_pipeline_fault(folder: Path) -> str | None:
    """What keeps a checkpoint's folder from being run as text-to-video, or None; also None without a model index."""
    index = folder / MODEL_INDEX
    if not index.is_file():
        return _explain_layout(folder)
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


def _explain_layout(folder: Path) -> str | None:
    found = sorted(path.parent.name for path in folder.glob(_ORIGINAL_LAYOUT))
    if not found:
        return None
    return (
        f"{folder}: has no {MODEL_INDEX}, and a transformer for each of {', '.join(found)}: this is the layout of "
        f"tencent/HunyuanVideo-1.5, with other names of weights. Use the checkpoint that diffusers reads, such as "
        f"{_FOR_DIFFUSERS}."
    )
