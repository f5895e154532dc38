"""What passes between the stages, named by what it holds: embeddings, latents, frames, a video.

Names, axes and dtypes are fixed here; stages/tensors reads and writes the bytes. docs/decisions/0003-artifacts.md has
the table.
"""

from typing import Final

from stages.geometry import LATENT_CHANNELS, MAX_GLYPH_TOKENS, MAX_PROMPT_TOKENS
from stages.pipeline.contract import ANY, Contract, Shape, TensorContract

# Dtypes as the headers of safetensors files name them.
_BFLOAT16 = ("BF16",)
_MODEL_DTYPES = ("BF16", "F32")


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


EMBEDDINGS: Final = Contract("embeddings", "embeddings.safetensors", _embeddings())
LATENTS: Final = (
    Contract(  # [b, c, f, h, w], in DiT space: decode divides by the VAE's scaling factor, nobody else does
        "latents",
        "latents.safetensors",
        {"latents": TensorContract((1, LATENT_CHANNELS, ANY, ANY, ANY), _MODEL_DTYPES)},
    )
)
# [b, f, h, w, c], in [-1, 1]
FRAMES: Final = Contract("frames", "frames.safetensors", {"frames": TensorContract((1, ANY, ANY, ANY, 3), _BFLOAT16)})
VIDEO: Final = Contract("video", "video.mp4")
