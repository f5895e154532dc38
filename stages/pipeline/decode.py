"""The stage `decode`: latents become frames, by one of several decoders."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from stages.keys import JsonValue
from stages.pipeline.component import Component
from stages.pipeline.contracts import FRAMES, LATENTS
from stages.pipeline.rules import Dtype, OnlyWith, Pixels, Table
from stages.pipeline.stage import ACCELERATOR, Choice, Program, Stage

VAE: Final = Component("vae", weights="diffusion_pytorch_model")
_DIFFUSERS = Program("stages.diffusers_decode", ACCELERATOR)
NATIVE: Final = "native"
DECODERS: Final[Mapping[str, Program]] = MappingProxyType({  # a new one is a row here and a package
    NATIVE: Program("stages.decode", ACCELERATOR),
    "diffusers": _DIFFUSERS,
    "diffusers-tpu": _DIFFUSERS,
    "diffusers-tpu-framewise": _DIFFUSERS,
})  # fmt: skip
_OF_FORK = ("diffusers-tpu", "diffusers-tpu-framewise")
# The commit with which docs/diffusers-tpu.md was measured; the fork has no releases.
INSTALL_FORK: Final = (
    "pip install flax httpx && pip install --no-deps "
    "git+https://github.com/yangwhale/diffusers-tpu@65b12ffc8c2f0219347e97b4568352802b6353ad"
)
_FLAX_VAE = "models/autoencoders/autoencoder_kl_hunyuanvideo15_flax.py"  # what only the fork has


def _known_decoder(value: str) -> str:
    if value not in DECODERS:
        *others, last = (f"'{name}'" for name in DECODERS)
        raise ValueError(f"must be {', '.join(others)} or {last}")
    return value


def _unsigned_zero(value: float) -> float:
    return value + 0.0  # -0.0 becomes 0.0: equal values have one key


class DecodeParams(Table):
    """`tile_size` in pixels, `tile_overlap` as a share of it; both have an effect only where there are tiles.

    Attributes:
        decoder: "native" streams, in JAX; "diffusers" is torch's, on the CPU; "diffusers-tpu" is the Flax VAE of a
            fork, and "diffusers-tpu-framewise" its frame-by-frame decode, which is another picture
            (docs/diffusers-tpu.md).
        enable_tiling: decode tiles and blend them, which changes the picture slightly. "native" needs little memory
            without it.
        tile_size: of a tile, in pixels both ways, a multiple of 16.
        tile_overlap: of neighbouring tiles, as a share of a tile.
        dtype: of the VAE; frames are bfloat16 in any case.
    """

    decoder: Annotated[str, AfterValidator(_known_decoder)] = NATIVE
    enable_tiling: bool = False
    tile_size: Annotated[Pixels, OnlyWith("enable_tiling")] = 256
    tile_overlap: Annotated[float, Field(ge=0, le=0.5), AfterValidator(_unsigned_zero), OnlyWith("enable_tiling")] = (
        0.25
    )
    dtype: Dtype = "bfloat16"


def explain_missing(parameters: Mapping[str, JsonValue]) -> str | None:
    """What a decoder of the fork needs that is not installed."""
    decoder = parameters["decoder"]
    if decoder not in _OF_FORK or (_has_flax_vae() and find_spec("flax")):
        return None
    return (
        f'decode.decoder = "{decoder}": the fork diffusers-tpu is not installed. Install it in place of diffusers: '
        f"{INSTALL_FORK}\n  docs/diffusers-tpu.md says more. The other decoders need no such thing."
    )


def _has_flax_vae() -> bool:
    diffusers = find_spec("diffusers")
    folders = diffusers.submodule_search_locations if diffusers else None
    return any((Path(folder) / _FLAX_VAE).is_file() for folder in folders or ())


STAGE: Final = Stage(
    name="decode",
    summary="latents -> frames",
    parameters=DecodeParams,
    reads=(LATENTS,),
    makes=FRAMES,
    components=(VAE,),
    program=Choice("decoder", DECODERS),
    explain_missing=explain_missing,
)
