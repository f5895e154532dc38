"""Sizes of the decoder from the VAE's config."""

import inspect

import pytest
from diffusers import AutoencoderKLHunyuanVideo15

from stages.decode.config import UpBlockPlan, parse_config
from stages.errors import CheckpointError

REAL = {
    "_class_name": "AutoencoderKLHunyuanVideo15",
    "latent_channels": 32,
    "out_channels": 3,
    "block_out_channels": [128, 256, 512, 1024, 1024],
    "layers_per_block": 2,
    "spatial_compression_ratio": 16,
    "temporal_compression_ratio": 4,
    "upsample_match_channel": True,
    "scaling_factor": 1.03682,
}


def test_the_real_decoder_has_these_up_blocks():
    assert parse_config(REAL, source="x").up_blocks == (
        UpBlockPlan(1024, 1024, num_resnets=3, upsample_channels=1024, doubles_time=True),
        UpBlockPlan(1024, 1024, num_resnets=3, upsample_channels=512, doubles_time=True),
        UpBlockPlan(512, 512, num_resnets=3, upsample_channels=256, doubles_time=False),
        UpBlockPlan(256, 256, num_resnets=3, upsample_channels=128, doubles_time=False),
        UpBlockPlan(128, 128, num_resnets=3, upsample_channels=None, doubles_time=False),
    )


def test_diffusers_defaults_are_these_sizes():
    defaults = inspect.signature(AutoencoderKLHunyuanVideo15.__init__).parameters
    for name, value in REAL.items():
        if name != "_class_name":
            assert defaults[name].default == (tuple(value) if isinstance(value, list) else value)


def test_another_architecture_is_told():
    with pytest.raises(CheckpointError) as error:
        parse_config(REAL | {"_class_name": "AutoencoderKLWan"}, source="vae/config.json")
    assert str(error.value) == (
        "vae/config.json: _class_name is 'AutoencoderKLWan', decode needs 'AutoencoderKLHunyuanVideo15'. "
        "Set model.checkpoint to a HunyuanVideo-1.5 checkpoint."
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"layers_per_block": -1}, "layers_per_block = -1: must be a whole number >= 0"),
        ({"latent_channels": True}, "latent_channels = True: must be a whole number >= 1"),
        ({"block_out_channels": []}, "block_out_channels = []: must be a list of whole numbers >= 1"),
        ({"upsample_match_channel": 1}, "upsample_match_channel = 1: must be true or false"),
        ({"scaling_factor": 0}, "scaling_factor = 0: must be a number > 0"),
        ({"spatial_compression_ratio": 12}, "spatial_compression_ratio = 12: must be a power of 2"),
        ({"block_out_channels": [8, 8, 8, 64]}, "block_out_channels: must name at least 5 blocks"),
        ({"block_out_channels": [8, 8, 8, 8, 48]}, "the last must be a multiple of latent_channels"),
        ({"block_out_channels": [9, 256, 512, 1024, 1024]}, "256 channels cannot be upsampled to 9"),
    ],
)
def test_impossible_sizes_are_told(change: dict[str, object], fault: str):
    with pytest.raises(CheckpointError) as error:
        parse_config(REAL | change, source="x")
    assert fault in str(error.value)


def test_all_faults_are_told_at_once():
    with pytest.raises(CheckpointError, match="2 faults") as error:
        parse_config(REAL | {"out_channels": 0, "scaling_factor": "1"}, source="x")
    assert "out_channels = 0" in str(error.value)
    assert "scaling_factor = '1'" in str(error.value)
