"""The declaration of decode: its decoders, and what they need."""

from pathlib import Path

import pytest

from stages.pipeline import decode
from stages.pipeline.decode import DECODERS, INSTALL_FORK, STAGE, explain_missing


@pytest.mark.parametrize(
    ("decoder", "package"),
    [
        ("native", "stages.decode"),
        ("diffusers", "stages.diffusers_decode"),
        ("diffusers-tpu", "stages.diffusers_decode"),
        ("diffusers-tpu-framewise", "stages.diffusers_decode"),
    ],
)
def test_the_decoder_chooses_the_program(decoder: str, package: str):
    assert STAGE.program_of({"decoder": decoder}).package == package


def test_every_decoder_is_known_by_the_test_above():
    assert len(DECODERS) == 4


def test_tiles_count_only_where_there_are_tiles():
    whole, tiled = STAGE.parameters(tile_size=64), STAGE.parameters(tile_size=64, enable_tiling=True)
    assert not {"tile_size", "tile_overlap"} & whole.key_parameters().keys()
    assert tiled.key_parameters()["tile_size"] == 64


@pytest.mark.parametrize("decoder", ["diffusers-tpu", "diffusers-tpu-framewise"])
@pytest.mark.parametrize(("has_vae", "flax"), [(False, object()), (True, None)])
def test_a_fork_that_is_not_installed_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, decoder: str, has_vae: bool, flax: object
):
    monkeypatch.setattr(decode, "_has_flax_vae", lambda: has_vae)
    monkeypatch.setattr(decode, "find_spec", {"flax": flax}.get)
    assert explain_missing({"decoder": decoder}) == (
        f'decode.decoder = "{decoder}": the fork diffusers-tpu is not installed. Install it in place of diffusers: '
        f"{INSTALL_FORK}\n  docs/diffusers-tpu.md says more. The other decoders need no such thing."
    )


@pytest.mark.parametrize("decoder", ["native", "diffusers"])
def test_other_decoders_need_no_fork(monkeypatch: pytest.MonkeyPatch, decoder: str):
    monkeypatch.setattr(decode, "_has_flax_vae", lambda: False)
    assert explain_missing({"decoder": decoder}) is None


def test_the_command_that_installs_the_fork_is_that_of_the_page():
    assert INSTALL_FORK in (Path(__file__).parents[2] / "docs" / "diffusers-tpu.md").read_text()
