"""Weights and memory as trees."""

from pathlib import Path

import jax
import pytest

from stages.decode.config import parse_config
from stages.decode.weights import describe_weights
from stages.models.settings import Settings
from tests.preflight_builders import SETTINGS


@pytest.fixture
def names() -> list[str]:
    weights = describe_weights(parse_config(Settings(Path(), SETTINGS["vae"])))
    return [spec.name.removeprefix("decoder.").split(".")[0] for spec in jax.tree.leaves(weights)]


def test_weights_are_in_the_order_in_which_a_frame_meets_them(names: list[str]):
    assert list(dict.fromkeys(names)) == ["conv_in", "mid_block", "up_blocks", "norm_out", "conv_out"]


def test_every_part_of_a_block_is_a_part_of_the_tree(names: list[str]):
    # the mid-block: two residual blocks of six arrays, attention of a gain and four matrices with biases
    assert names.count("mid_block") == 2 * 6 + 1 + 4 * 2
    # five up blocks of one residual block, four of which change the channels, and four upsamplers
    assert names.count("up_blocks") >= 5 * 6 + 4 * 2
