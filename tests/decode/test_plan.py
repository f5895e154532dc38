"""The planned chunks: what they remember, and how they are compiled."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from preflight_builders import SETTINGS

from stages.component_config import Settings
from stages.decode.config import parse_config
from stages.decode.layers import ConvWeights, causal_conv
from stages.decode.plan import COMPILER_OPTIONS, ChunkPlan, lower_chunk, lower_first
from stages.geometry import LatentSize
from tests.decode.builders import DEVICE, SMALL, load_config, write_vae


def test_the_chunks_memory_has_room_for_all_latent_frames():
    config = parse_config(Settings(Path(), SETTINGS["vae"]))
    program = lower_chunk(ChunkPlan(config, LatentSize(5, 2, 3), "float32"), jax.devices())
    assert program.state.mid_attention.keys.shape[:3] == (1, 5, 6)


def makers_of_ynnpack(program: jax.stages.Compiled) -> list[str]:
    """What in the source became a fusion of YNNPACK's, such as "jit(decode_first)/conv_general_dilated"."""
    return re.findall(r'%ynn_fusion\S* = .*op_name="([^"]*)"', program.as_text())


@pytest.mark.parametrize(("options", "is_ynnpacks"), [({}, True), (COMPILER_OPTIONS, False)])
def test_the_compiler_options_and_nothing_else_keep_a_convolution_from_ynnpack(options, is_ynnpacks: bool):
    """When the first case fails, XLA has changed its mind and the options are due for another look."""
    weights = ConvWeights(jnp.ones((3, 3, 3, 64, 64)), jnp.ones(64))
    convolve = jax.jit(lambda frame: causal_conv(frame, weights, None)[0])
    program = convolve.lower(jnp.ones((1, 12, 12, 64))).compile(compiler_options=dict(options))
    assert any("conv_general_dilated" in maker for maker in makers_of_ynnpack(program)) == is_ynnpacks


def test_decode_is_compiled_with_the_compiler_options(tmp_path: Path):
    config = load_config(write_vae(tmp_path / "vae", **SMALL | {"block_out_channels": (8, 16, 64)}))
    makers = makers_of_ynnpack(lower_first(ChunkPlan(config, LatentSize(1, 12, 12), "float32"), [DEVICE]).compile())
    assert any("dot_general" in maker for maker in makers)
    assert not any("conv_general_dilated" in maker for maker in makers)
