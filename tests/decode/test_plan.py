"""The planned chunk."""

from pathlib import Path

import jax
from preflight_builders import SETTINGS

from stages.component_config import Settings
from stages.decode.config import parse_config
from stages.decode.plan import ChunkPlan, lower_chunk
from stages.geometry import LatentSize


def test_the_chunks_memory_has_room_for_all_latent_frames():
    config = parse_config(Settings(Path(), SETTINGS["vae"]))
    program = lower_chunk(ChunkPlan(config, LatentSize(5, 2, 3), "float32"), jax.devices())
    assert program.state.mid_attention.keys.shape[:3] == (1, 5, 6)
