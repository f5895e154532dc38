"""Sizes of the decoder from the VAE's config."""

import inspect
from pathlib import Path

import pytest
from diffusers import AutoencoderKLHunyuanVideo15

from stages.decode.config import DecoderConfig, UpBlockPlan, check_geometry, parse_config
from stages.errors import CheckpointError
from stages.models.settings import Settings

WHERE = Path("vae/config.json")
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


def parse(**changes: object) -> DecoderConfig:
    return parse_config(Settings(WHERE, REAL | changes))


def test_the_real_decoder_has_these_up_blocks():
    assert parse().up_blocks == (
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


def test_another_architecture_is_reported():
    with pytest.raises(CheckpointError) as error:
        parse(_class_name="AutoencoderKLWan")
    assert str(error.value) == (
        "vae/config.json: holds 'AutoencoderKLWan', not AutoencoderKLHunyuanVideo15. "
        "Use a checkpoint of HunyuanVideo-1.5."
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"layers_per_block": -1}, "`layers_per_block` is -1, not a whole number from 0 to 100"),
        ({"latent_channels": True}, "`latent_channels` is True, not a whole number from 1 to 65536"),
        (
            {"block_out_channels": []},
            "`block_out_channels` is [], not a list of one or more, each a whole number from 1",
        ),
        ({"upsample_match_channel": 1}, "`upsample_match_channel` is 1, not true or false"),
        ({"scaling_factor": 0}, "`scaling_factor` is 0, not a finite number above 0"),
        ({"scaling_factor": float("inf")}, "`scaling_factor` is inf, not a finite number above 0"),
        ({"scaling_factor": "1"}, "`scaling_factor` is '1', not a finite number above 0"),
        ({"spatial_compression_ratio": 12}, "`spatial_compression_ratio` is 12, not a power of 2"),
        (
            {"temporal_compression_ratio": 32},
            "`temporal_compression_ratio` is larger than `spatial_compression_ratio`",
        ),
        ({"block_out_channels": [8, 8, 8, 64]}, "`block_out_channels` names 4 blocks, fewer than 5"),
        ({"block_out_channels": [8, 8, 8, 8, 48]}, "the last of `block_out_channels` is no multiple of `latent_ch"),
        ({"block_out_channels": [9, 256, 512, 1024, 1024]}, "256 channels cannot be upsampled to 9"),
    ],
)
def test_impossible_sizes_are_reported(change: dict[str, object], fault: str):
    with pytest.raises(CheckpointError, match=r"^vae/config.json: this checkpoint cannot be run:\n") as error:
        parse(**change)
    assert fault in str(error.value)


def test_all_faults_are_reported_at_once():
    with pytest.raises(CheckpointError) as error:
        parse_config(
            Settings(WHERE, {name: REAL[name] for name in REAL if name != "out_channels"} | {"scaling_factor": 0})
        )
    assert str(error.value) == (
        "vae/config.json: this checkpoint cannot be run:\n"
        "  `out_channels` is missing\n"
        "  `scaling_factor` is 0, not a finite number above 0\n"
        "  Use a checkpoint of HunyuanVideo-1.5 whose settings are as diffusers writes them."
    )


def test_the_real_decoder_has_the_sizes_that_all_stages_count_on():
    check_geometry(parse(), where=WHERE)


def test_sizes_that_other_stages_do_not_count_on_are_reported():
    changes = {
        "latent_channels": 16,
        "out_channels": 4,
        "spatial_compression_ratio": 8,
        "temporal_compression_ratio": 2,
    }
    with pytest.raises(CheckpointError) as error:
        check_geometry(parse(**changes), where=WHERE)
    assert str(error.value) == (
        "vae/config.json: this checkpoint cannot be run:\n"
        "  `latent_channels` is 16, not 32\n"
        "  `out_channels` is 4, not 3\n"
        "  `spatial_compression_ratio` is 8, not 16\n"
        "  `temporal_compression_ratio` is 2, not 4\n"
        "  Use a checkpoint of HunyuanVideo-1.5 whose settings are as diffusers writes them."
    )
