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


@dataclass(frozen=True)
class StageContract:
    """A stage as the others see it.

    Attributes:
        payload: name of the file that it makes.
        inputs: stages whose payload it reads.
        components: folders of the checkpoint that it reads, and no others.
        tensors: shape of each tensor in the payload, [..] with ANY where the size varies; empty for a video file.
    """

    payload: str
    inputs: tuple[str, ...]
    components: tuple[str, ...]
    tensors: Mapping[str, Shape]


def _embeddings() -> dict[str, Shape]:
    per_prompt: dict[str, Shape] = {
        "prompt_embeds": (1, MAX_PROMPT_TOKENS, ANY),
        "prompt_embeds_mask": (1, MAX_PROMPT_TOKENS),
        "prompt_embeds_2": (1, MAX_GLYPH_TOKENS, ANY),
        "prompt_embeds_mask_2": (1, MAX_GLYPH_TOKENS),
    }
    return per_prompt | {f"negative_{name}": shape for name, shape in per_prompt.items()}


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
        components=("transformer", "scheduler"),
        tensors={"latents": (1, LATENT_CHANNELS, ANY, ANY, ANY)},  # [b, c, f, h, w], in DiT space
    ),
    "decode": StageContract(
        payload="frames.safetensors",
        inputs=("denoise",),
        components=("vae",),
        tensors={"frames": (1, ANY, ANY, ANY, 3)},  # [b, f, h, w, c], bfloat16, in [-1, 1]
    ),
    "export": StageContract(payload="video.mp4", inputs=("decode",), components=(), tensors={}),
}
STAGES = tuple(CONTRACTS)  # in the order in which they run


def check_shapes(stage: str, shapes: Mapping[str, tuple[int, ...]], *, where: str) -> None:
    """Compare a payload's tensor shapes with the contract of the stage that made it.

    Raises:
        ContractError: lists every missing, spare and misshapen tensor, and names `where` it was found.
    """
    wanted = CONTRACTS[stage].tensors
    faults = [f"`{name}` is missing" for name in wanted if name not in shapes]
    faults += [f"`{name}` is not part of it" for name in shapes if name not in wanted]
    faults += [
        f"`{name}` is {list(shapes[name])}, not {_describe(shape)}"
        for name, shape in wanted.items()
        if name in shapes and not _fits(shapes[name], shape)
    ]
    if faults:
        raise ContractError(f"{where}: does not hold what {stage} makes: {'; '.join(faults)}.")


def _fits(actual: tuple[int, ...], wanted: Shape) -> bool:
    return len(actual) == len(wanted) and all(w in (ANY, a) for a, w in zip(actual, wanted, strict=True))


def _describe(shape: Shape) -> str:
    return "[" + ", ".join("any" if size is ANY else str(size) for size in shape) + "]"
