"""A decoder of diffusers as an object. That its frames are the native ones is tested in parity/."""

import sys
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest

from stages.decode.tiling import Tiling
from stages.diffusers_decode.decoder import DiffusersDecoder
from stages.errors import ContractError, ParamsError, StageError
from stages.models.checkpoint import Checkpoint
from stages.pipeline.decode import INSTALL_FORK
from tests.decode.builders import random_latents, write_vae

LATENTS = random_latents(2, 1, 2)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> DiffusersDecoder:
    checkpoint = Checkpoint(write_vae(tmp_path_factory.mktemp("checkpoint") / "vae", layers_per_block=0).parent)
    return DiffusersDecoder.load("diffusers", checkpoint, dtype="float32")


def test_it_gives_stored_frames_one_latent_frame_after_the_other_and_counts_tiles(decoder: DiffusersDecoder):
    counted: list[object] = []
    tiling = Tiling(tile_size=16, tile_overlap=0.0)
    pieces = list(decoder.stream(LATENTS, tiling=tiling, progress=lambda *progress: counted.append(progress)))
    assert [piece.shape for piece in pieces] == [(1, 16, 32, 3), (4, 16, 32, 3)]
    assert {piece.dtype for piece in pieces} == {np.dtype(ml_dtypes.bfloat16)}
    assert counted == [(1, 2, "tile"), (2, 2, "tile")]


def test_latents_of_another_shape_are_refused(decoder: DiffusersDecoder):
    with pytest.raises(ContractError, match=r"`latents` is \[32, 2, 1, 2\]"):
        decoder.stream(LATENTS[0])


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("native", "float32", 'decoder = "native": must be one of diffusers, diffusers-tpu, diffusers-tpu-framewise.'),
        ("diffusers", "f32", "dtype = \"f32\": must be 'bfloat16' or 'float32'."),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_read(name: str, dtype: str, message: str):
    with pytest.raises(ParamsError) as caught:
        DiffusersDecoder.load(name, Checkpoint(Path("nowhere")), dtype=dtype)
    assert str(caught.value) == f"arguments, decode.{message}"


def test_it_is_of_what_it_was_loaded_from_alone(decoder: DiffusersDecoder):
    devices, here = jax.local_devices(), decoder.checkpoint
    assert decoder.is_of("diffusers", here, dtype="float32", devices=devices)
    assert not decoder.is_of("diffusers-tpu", here, dtype="float32", devices=devices)
    assert not decoder.is_of("diffusers", here, dtype="bfloat16", devices=devices)
    assert not decoder.is_of("diffusers", Checkpoint(Path("other")), dtype="float32", devices=devices)


@pytest.mark.parametrize("name", ["diffusers-tpu", "diffusers-tpu-framewise"])
def test_a_fork_that_cannot_be_imported_is_an_error_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    checkpoint = Checkpoint(write_vae(tmp_path / "vae", layers_per_block=0).parent)
    missing = "diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15_flax"
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "stages.diffusers_decode.flax_decoder", raising=False)
    with pytest.raises(StageError) as error:
        DiffusersDecoder.load(name, checkpoint, dtype="float32")
    assert str(error.value) == (
        f'decode.decoder = "{name}": the installed diffusers has no such VAE (import of {missing} halted; None in '
        f"sys.modules). Install the fork in its place: {INSTALL_FORK}\n"
        "  docs/diffusers-tpu.md says more. The other decoders need no such thing."
    )
