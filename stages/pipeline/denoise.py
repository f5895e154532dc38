"""The stage `denoise`: embeddings and a seed become latents."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from stages.geometry import TEMPORAL_COMPRESSION, is_valid_num_frames
from stages.pipeline.contracts import EMBEDDINGS, LATENTS
from stages.pipeline.from_file import FROM_FILE_PROGRAM
from stages.pipeline.rules import Dtype, FileFromElsewhere, Pixels, Table
from stages.pipeline.stage import ACCELERATOR, Program, Stage

_MAX_SEED = 2**63 - 1  # what a torch generator takes


def _causal_length(value: int) -> int:
    if not is_valid_num_frames(value):
        lower = (value - 1) // TEMPORAL_COMPRESSION * TEMPORAL_COMPRESSION + 1
        raise ValueError(
            f"must be 4k + 1, because the VAE keeps frame 0 alone and folds each 4 after it into one."
            f" Use {lower} or {lower + TEMPORAL_COMPRESSION}."
        )
    return value


class DenoiseParams(Table):
    """Sizes in frames and pixels; `flow_shift` unset means the scheduler's own.

    `from_file` holds the latents, if it is not ""; the others, and all parameters of encode, then count for nothing.
    """

    num_frames: Annotated[int, Field(ge=1), AfterValidator(_causal_length)] = 49
    height: Pixels = 720
    width: Pixels = 1280
    num_inference_steps: Annotated[int, Field(ge=1)] = 50
    guidance_scale: Annotated[float, Field(ge=1.0)] = 6.0
    seed: Annotated[int, Field(ge=0, le=_MAX_SEED)] = 42
    window_size: Annotated[int, Field(ge=0)] = 0
    flow_shift: Annotated[float, Field(gt=0)] | None = None
    dtype: Dtype = "bfloat16"
    from_file: FileFromElsewhere = ""


STAGE: Final = Stage(
    name="denoise",
    summary="embeddings -> latents",
    parameters=DenoiseParams,
    reads=(EMBEDDINGS,),
    makes=LATENTS,
    components=("transformer", "scheduler", "guider"),
    program=Program("stages.denoise", ACCELERATOR),
    file_program=FROM_FILE_PROGRAM,
)
