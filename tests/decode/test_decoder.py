"""The VAE's decoder as an object: what it accepts, what it keeps, and what it gives."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

from stages.decode.decoder import Decoder
from stages.decode.tiling import Tiling
from stages.errors import ContractError, ParamsError, StageError
from stages.models.checkpoint import Checkpoint
from stages.pipeline.decode import DecodeParams
from tests.decode.builders import decode_here, random_latents, write_vae
from tests.loads import Compiler

LATENTS = random_latents(2, 1, 2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return Checkpoint(write_vae(tmp_path_factory.mktemp("checkpoint") / "vae", layers_per_block=0).parent)


@pytest.fixture(scope="module")
def decoder(checkpoint: Checkpoint) -> Decoder:
    return Decoder.load(checkpoint, dtype="float32")


def refusal(decoder: Decoder, kind: type[Exception], latents: np.ndarray = LATENTS, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        decoder.stream(latents, **options)
    return str(caught.value)


def test_frames_are_those_of_the_functions_clamped_and_rounded(decoder: Decoder, checkpoint: Checkpoint):
    frames = decoder.decode(LATENTS)
    assert (frames.shape, frames.dtype) == ((1, 5, 16, 32, 3), ml_dtypes.bfloat16)
    expected = np.clip(decode_here(checkpoint.folder / "vae", LATENTS, as_in_a_run=True), -1, 1).astype(
        ml_dtypes.bfloat16
    )
    np.testing.assert_array_equal(frames[0], expected)


def test_a_stream_gives_the_same_frames_one_latent_frame_after_the_other(decoder: Decoder):
    pieces = list(decoder.stream(LATENTS))
    assert [piece.shape for piece in pieces] == [(1, 16, 32, 3), (4, 16, 32, 3)]
    np.testing.assert_array_equal(np.concatenate(pieces), decoder.decode(LATENTS)[0])


def test_a_latent_frame_is_decoded_when_it_is_asked_for(checkpoint: Checkpoint):
    """The second one is not finite, which nobody sees before."""
    latents = LATENTS.copy()
    latents[:, :, 1] = np.inf
    pieces = Decoder.load(checkpoint, dtype="float32").stream(latents)
    assert next(pieces).shape == (1, 16, 32, 3)
    with pytest.raises(StageError) as caught:
        next(pieces)
    assert str(caught.value) == (
        f"frames of latent frame 1: 6144 of 6144 values are not finite; {checkpoint.folder}/vae made them in float32. "
        "Use another checkpoint in params/model.toml."
    )


def test_programs_are_compiled_once_for_each_size_before_the_first_frame_and_kept(checkpoint: Checkpoint):
    decoder, compiler = Decoder.load(checkpoint, dtype="float32"), Compiler()
    tiles = Tiling(tile_size=16, tile_overlap=0.0)
    for tiling in (None, tiles, None, tiles):
        decoder.stream(LATENTS, tiling=tiling, compile_program=compiler)
    assert compiler.compiled == ["first decode chunk", "decode chunk"] * 2


def test_tiles_are_those_that_are_asked_for(decoder: Decoder):
    whole, tiled = decoder.decode(LATENTS), decoder.decode(LATENTS, tiling=Tiling(tile_size=16, tile_overlap=0.0))
    assert tiled.shape == whole.shape
    assert not np.array_equal(tiled, whole)


def test_tiles_have_the_parameters_defaults():
    parameters = DecodeParams()
    assert Tiling() == Tiling(parameters.tile_size, parameters.tile_overlap)


def test_it_is_of_what_it_was_loaded_from_alone(decoder: Decoder, checkpoint: Checkpoint):
    devices = jax.local_devices()
    assert decoder.is_of(checkpoint, dtype="float32", devices=devices)
    assert not decoder.is_of(checkpoint, dtype="bfloat16", devices=devices)
    assert not decoder.is_of(replace(checkpoint, folder=Path("other")), dtype="float32", devices=devices)
    assert not decoder.is_of(checkpoint, dtype="float32", devices=devices * 2)


def test_a_dtype_that_no_model_has_is_refused_before_anything_is_read():
    with pytest.raises(ParamsError) as caught:
        Decoder.load(Checkpoint(Path("nowhere")), dtype="float16")
    assert str(caught.value) == "arguments, decode.dtype = \"float16\": must be 'bfloat16' or 'float32'."


def test_tiles_that_break_the_rules_are_refused(decoder: Decoder):
    assert refusal(decoder, ParamsError, tiling=Tiling(tile_size=20, tile_overlap=0.6)).splitlines() == [
        "arguments, decode.tile_size = 20: must be a multiple of 16, the VAE's spatial compression. Use 16 or 32.",
        "  arguments, decode.tile_overlap = 0.6: must be less than or equal to 0.5.",
    ]


def test_latents_of_another_shape_are_refused(decoder: Decoder):
    assert refusal(decoder, ContractError, LATENTS[0]) == (
        "latents: does not hold latents: `latents` is [32, 2, 1, 2], not [1, 32, >= 1, >= 1, >= 1]."
    )


def test_latents_of_another_dtype_are_refused(decoder: Decoder):
    assert refusal(decoder, ContractError, LATENTS.astype(np.float64)) == (
        "latents: does not hold latents: `latents` is float64, not BF16 or F32."
    )
