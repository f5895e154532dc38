"""The decoder with explicit state."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stages.decode.forward import FramePrograms, decode_chunk, decode_first, decode_next, initial_state
from stages.decode.weights import load_weights
from tests.decode.builders import DEVICE, SMALL, load_config, random_latents, vae_weights, write_vae
from tests.products import list_precisions

NUM_FRAMES = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vae(tmp_path_factory.mktemp("toy") / "vae", **SMALL)


def decode_in_chunks(folder: Path, sizes: list[int], *, room: int = NUM_FRAMES) -> np.ndarray:
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="float32", devices=[DEVICE])
    latents = jnp.moveaxis(jnp.asarray(random_latents(NUM_FRAMES, 2, 3)), 1, -1)
    programs = FramePrograms(
        first=partial(decode_first, config=config, num_latent_frames=room),
        later=partial(decode_next, config=config),
    )
    state, pieces, start = initial_state(room), [], 0
    for size in sizes:
        state, frames = decode_chunk(weights, state, latents[:, start : start + size], programs=programs)
        pieces.append(np.asarray(frames))
        start += size
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("sizes", [[2, 2], [1, 3]])
def test_a_state_holds_all_that_the_next_chunk_needs(folder: Path, sizes: list[int]):
    np.testing.assert_array_equal(decode_in_chunks(folder, sizes), decode_in_chunks(folder, [NUM_FRAMES]))


def test_one_frame_comes_first_and_four_of_each_later(folder: Path):
    assert decode_in_chunks(folder, [1]).shape == (1, 1, 8, 12, 3)
    assert decode_in_chunks(folder, [NUM_FRAMES]).shape == (1, 13, 8, 12, 3)


def test_later_latents_do_not_change_earlier_frames(folder: Path):
    whole = decode_in_chunks(folder, [NUM_FRAMES])
    np.testing.assert_array_equal(decode_in_chunks(folder, [2]), whole[:, :5])


def test_a_state_has_room_for_its_video_and_no_more(folder: Path):
    with pytest.raises(ValueError, match="latent frame 4 of 3: the state has no room for it"):
        decode_in_chunks(folder, [NUM_FRAMES], room=3)


def test_two_programs_serve_all_latent_frames_of_a_video(folder: Path):
    jax.clear_caches()
    decode_in_chunks(folder, [1, 1, 1, 1])
    assert (decode_first._cache_size(), decode_next._cache_size()) == (1, 1)


def test_the_memory_is_as_large_for_a_long_video_but_for_the_attention_cache(folder: Path):
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="float32", devices=[DEVICE])
    sizes = []
    for room in (3, 30):
        decode = partial(decode_first, config=config, num_latent_frames=room)
        memory, _ = jax.eval_shape(decode, weights, jnp.zeros((1, 2, 3, 32)))
        cache = sum(array.size for array in jax.tree.leaves(memory.mid_attention))
        total = sum(array.size for array in jax.tree.leaves(memory))
        sizes.append((total - cache, cache))
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] == 10 * sizes[0][1]


def test_every_product_of_float32_matrices_is_made_in_float32(folder: Path):
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="float32", devices=[DEVICE])
    latents = jnp.zeros((1, 2, 3, 32))
    decode = partial(decode_first, config=config, num_latent_frames=2)
    memory, _ = jax.eval_shape(decode, weights, latents)
    first = jax.make_jaxpr(decode)(weights, latents)
    later = jax.make_jaxpr(partial(decode_next, config=config))(weights, latents, memory, jnp.int32(1))
    # 14 convolutions, of which 6 come after an upsampler that doubles time, each one product for the first frame, and
    # for a later one three, or four for two frames; 6 products of attention
    for program, num_products in ((first, 20), (later, 54)):
        precisions = list_precisions(program.jaxpr)
        assert len(precisions) == num_products
        assert set(precisions) == {(jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)}


def test_an_image_leaves_nothing_to_remember(folder: Path):
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="float32", devices=[DEVICE])
    latents = jnp.moveaxis(jnp.asarray(random_latents(1, 2, 3)), 1, -1)[:, 0]
    memory, frames = decode_first(weights, latents, config=config, num_latent_frames=1)
    assert memory is None
    _, expected = decode_first(weights, latents, config=config, num_latent_frames=2)
    np.testing.assert_allclose(frames, expected, atol=1e-5)  # compiled as another program
