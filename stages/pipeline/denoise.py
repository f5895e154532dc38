"""The stage `denoise`: embeddings and a seed become latents."""

from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from stages.geometry import SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION, is_valid_num_frames
from stages.pipeline.component import Component
from stages.pipeline.contracts import EMBEDDINGS, LATENTS
from stages.pipeline.from_file import FROM_FILE_PROGRAM
from stages.pipeline.rules import MAX_PIXELS, Drafted, Dtype, FileFromElsewhere, Table, latent_multiple
from stages.pipeline.stage import ACCELERATOR, Program, Stage

TRANSFORMER: Final = Component("transformer", weights="diffusion_pytorch_model")
SCHEDULER: Final = Component("scheduler", settings="scheduler_config.json")
GUIDER: Final = Component("guider", settings="guider_config.json")
MAX_FRAMES = 86_401  # an hour at 24 fps; no device has the memory for more in one piece
_MAX_STEPS = 10_000  # far above what any schedule needs; each is a run of the transformer
_MAX_FACTOR = 1000.0  # far above what makes a picture; float32 has room for what comes of it, and of its inverse
_MAX_INT32 = 2**31 - 1  # what JAX counts tokens with
_MAX_SEED = 2**63 - 1  # what a torch generator takes


def _causal_length(value: int) -> int:
    if not is_valid_num_frames(value):
        lower = (value - 1) // TEMPORAL_COMPRESSION * TEMPORAL_COMPRESSION + 1
        raise ValueError(
            f"must be 4k + 1, because the VAE keeps frame 0 alone and folds each 4 after it into one."
            f" Use {lower} or {lower + TEMPORAL_COMPRESSION}."
        )
    return value


def _frame_side(value: int, info: Any) -> int:
    """`info` is pydantic's: it has the name of the field, "height" or "width"."""
    try:
        return latent_multiple(value)
    except ValueError as error:
        if value % 2:
            raise
        upper = (value // SPATIAL_COMPRESSION + 1) * SPATIAL_COMPRESSION
        crop = f"<width>x{value}" if info.field_name == "height" else f"{value}x<height>"
        message = f'{error} For a video of {value}, denoise {upper} and set export.crop = "{crop}".'
        raise ValueError(message) from error


def _no_random_seed(value: Any) -> Any:
    """Other programs draw a seed where these stand."""
    if value == "random" or (isinstance(value, int) and value < 0):
        raise ValueError(
            f"must be 0 to {_MAX_SEED}: the seed decides which video it is, so none is drawn. Take any number, such as "
            "`denoise.seed=$RANDOM` on the command line of a shell."
        )
    return value


def half_side(value: int) -> int:
    """Half of a height or width in pixels, or the next more that the VAE can make."""
    return -(-value // (2 * SPATIAL_COMPRESSION)) * SPATIAL_COMPRESSION


def _third(value: int) -> int:
    return -(-value // 3)


FrameSide: TypeAlias = Annotated[int, Field(ge=SPATIAL_COMPRESSION, le=MAX_PIXELS), AfterValidator(_frame_side)]


class DenoiseParams(Table):
    """Sizes in frames and pixels; `flow_shift` unset means the scheduler's own.

    `from_file` holds the latents, if it is not ""; the others, and all parameters of encode, then count for nothing.

    Attributes:
        num_frames: length of the video, 4k + 1: the VAE keeps frame 0 alone and folds each 4 after it into one.
        height: in pixels, a multiple of 16. `export.crop` cuts to other sizes.
        width: in pixels, a multiple of 16.
        num_inference_steps: runs of the transformer; its time is in proportion.
        guidance_scale: how strongly the prompt leads; 1.0 is without guidance, at half the cost.
        seed: of the initial noise: which of all videos of a prompt it is.
        window_size: how many video tokens around itself a video token sees; 0: all of them.
        flow_shift: how far the steps are moved towards high noise, 1 for not at all; unset: as the checkpoint's
            scheduler has it.
        dtype: of the transformer and the latents.
        from_file: a safetensors file of latents, which takes the place of what this stage makes; "" for none.
    """

    num_frames: Annotated[int, Field(ge=1, le=MAX_FRAMES), AfterValidator(_causal_length)] = 49
    height: Annotated[FrameSide, Drafted(half_side)] = 720
    width: Annotated[FrameSide, Drafted(half_side)] = 1280
    num_inference_steps: Annotated[int, Field(ge=1, le=_MAX_STEPS), Drafted(_third)] = 50
    guidance_scale: Annotated[float, Field(ge=1.0, le=_MAX_FACTOR)] = 6.0
    seed: Annotated[int, Field(ge=0, le=_MAX_SEED), BeforeValidator(_no_random_seed)] = 42
    window_size: Annotated[int, Field(ge=0, le=_MAX_INT32)] = 0
    flow_shift: Annotated[float, Field(ge=1 / _MAX_FACTOR, le=_MAX_FACTOR)] | None = None
    dtype: Dtype = "bfloat16"
    from_file: FileFromElsewhere = ""


STAGE: Final = Stage(
    name="denoise",
    summary="embeddings -> latents",
    parameters=DenoiseParams,
    reads=(EMBEDDINGS,),
    makes=LATENTS,
    components=(TRANSFORMER, SCHEDULER, GUIDER),
    program=Program("stages.denoise", ACCELERATOR, joins_hosts=True),
    file_program=FROM_FILE_PROGRAM,
)
