"""What passes between the stages: which file a stage makes, of whom it reads, and what the file must hold.

Names, axes and dtypes are fixed here; tensors.py reads and writes the bytes. Source: design of the artifacts in
docs/decisions/0003-artifacts.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from stages.errors import ContractError
from stages.geometry import LATENT_CHANNELS, MAX_GLYPH_TOKENS, MAX_PROMPT_TOKENS

ANY = None  # a size that only the checkpoint or the video knows

Shape = tuple[int | None, ...]

PREFLIGHT = "preflight"  # makes artifacts as a stage does, but of no video: what a program needs on given chips

# Dtypes as the headers of safetensors files name them.
_BFLOAT16 = ("BF16",)
_MODEL_DTYPES = ("BF16", "F32")
_MAX_FAULTS = 16  # that are told of one file: one of another kind can have thousands


@dataclass(frozen=True)
class TensorContract:
    """What a tensor in a payload may be.

    Attributes:
        shape: size of each axis, at least 1; ANY where it varies.
        dtypes: names that its dtype may have in the file's header.
    """

    shape: Shape
    dtypes: tuple[str, ...]


@dataclass(frozen=True)
class StageContract:
    """A stage as the others see it.

    Attributes:
        payload: name of the file that it makes.
        inputs: stages whose payload it reads.
        components: folders of the checkpoint that it reads, and no others.
        tensors: those in the payload, by name; none in a video file.
    """

    payload: str
    inputs: tuple[str, ...]
    components: tuple[str, ...]
    tensors: Mapping[str, TensorContract]


def _embeddings() -> dict[str, TensorContract]:
    """Those of the prompt and of the negative prompt; masks have the embeddings' dtype."""
    shapes: dict[str, Shape] = {
        "prompt_embeds": (1, MAX_PROMPT_TOKENS, ANY),
        "prompt_embeds_mask": (1, MAX_PROMPT_TOKENS),
        "prompt_embeds_2": (1, MAX_GLYPH_TOKENS, ANY),
        "prompt_embeds_mask_2": (1, MAX_GLYPH_TOKENS),
    }
    return {
        f"{prefix}{name}": TensorContract(shape, _MODEL_DTYPES)
        for prefix in ("", "negative_")
        for name, shape in shapes.items()
    }


CONTRACTS: Mapping[str, StageContract] = {
    "encode": StageContract(
        payload="embeddings.safetensors",
        inputs=(),
        components=("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"),
        tensors=_embeddings(),
    ),
    "denoise": StageContract(
        payload="latents.safetensors",
        inputs=("encode",),
        components=("transformer", "scheduler", "guider"),
        tensors={  # [b, c, f, h, w], in DiT space
            "latents": TensorContract((1, LATENT_CHANNELS, ANY, ANY, ANY), _MODEL_DTYPES)
        },
    ),
    "decode": StageContract(
        payload="frames.safetensors",
        inputs=("denoise",),
        components=("vae",),
        tensors={"frames": TensorContract((1, ANY, ANY, ANY, 3), _BFLOAT16)},  # [b, f, h, w, c], in [-1, 1]
    ),
    "export": StageContract(payload="video.mp4", inputs=("decode",), components=(), tensors={}),
    PREFLIGHT: StageContract(payload="figures.json", inputs=(), components=(), tensors={}),
}
STAGES = ("encode", "denoise", "decode", "export")  # of a video, in the order in which they run


def check_shapes(
    stage: str, shapes: Mapping[str, tuple[int, ...]], *, where: str, dtypes: Mapping[str, str] | None = None
) -> None:
    """Compare a payload's tensors with the contract of the stage that made it.

    Args:
        stage: the one that made the payload.
        shapes: of each tensor in it.
        where: what the message names.
        dtypes: of each tensor in it, as the file's header says; None when only shapes are to be compared, because
            no payload gets into the store without this check (job.py).
    Raises:
        ContractError: lists missing, spare and misshapen tensors and wrong dtypes.
    """
    wanted = CONTRACTS[stage].tensors
    faults = [f"`{name}` is missing" for name in wanted if name not in shapes]
    faults += [f"`{name}` is not part of it" for name in shapes if name not in wanted]
    known = {name: tensor for name, tensor in wanted.items() if name in shapes}
    faults += [
        f"`{name}` is {list(shapes[name])}, not {_describe(tensor.shape)}"
        for name, tensor in known.items()
        if not _fits(shapes[name], tensor.shape)
    ]
    faults += [
        f"`{name}` is {dtypes[name]}, not {' or '.join(tensor.dtypes)}"
        for name, tensor in known.items()
        if dtypes is not None and dtypes[name] not in tensor.dtypes
    ]
    if len(faults) > _MAX_FAULTS:
        faults[_MAX_FAULTS:] = [f"and {len(faults) - _MAX_FAULTS} more"]
    if faults:
        raise ContractError(f"{where}: does not hold what {stage} makes: {'; '.join(faults)}.")


def _fits(actual: tuple[int, ...], wanted: Shape) -> bool:
    return len(actual) == len(wanted) and all(a >= 1 and w in (ANY, a) for a, w in zip(actual, wanted, strict=True))


def _describe(shape: Shape) -> str:
    return "[" + ", ".join(">= 1" if size is ANY else str(size) for size in shape) + "]"
