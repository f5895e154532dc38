"""The map from latents to colours."""

import numpy as np
import pytest

from stages.geometry import LATENT_CHANNELS
from stages.previews.color_map import PATCH, ColorMap, Fit, paint_gray, shrink_frames
from tests.project import SHAPES


def random_latents(num_frames: int = 3, height: int = 5, width: int = 7, *, seed: int = 0) -> np.ndarray:
    shape = (LATENT_CHANNELS, num_frames, height, width)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def decode_linearly(latents: np.ndarray, *, seed: int = 1) -> np.ndarray:
    """What a decoder makes that is linear in a cell and its neighbours, here and in the frame before."""
    random = np.random.default_rng(seed)
    before = np.concatenate([latents[:, :1], latents[:, :-1]], axis=1)
    padded = np.pad(np.concatenate([before, latents]), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    _, f, h, w = latents.shape
    patches = np.zeros((f, h, w, 16, 16, 3))
    for y in range(3):
        for x in range(3):
            block = random.normal(scale=0.002, size=(2 * LATENT_CHANNELS, 16, 16, 3))
            patches += np.einsum("cfhw,cyxr->fhwyxr", padded[:, :, y : y + h, x : x + w], block)
    pictures = patches.transpose(0, 1, 3, 2, 4, 5).reshape(f, 16 * h, 16 * w, 3) + 0.1
    return np.concatenate([pictures[:1], *(pictures[index : index + 1].repeat(4, axis=0) for index in range(1, f))])


def fit(num_clips: int, num_frames: int = 3, **options: float) -> ColorMap:
    fitted = Fit()
    for seed in range(num_clips):
        latents = random_latents(num_frames, seed=seed)
        fitted.add(latents, iter(decode_linearly(latents)))
    return fitted.solve(**options)


def test_the_map_of_a_linear_decoder_is_found():
    unseen = random_latents(2, 4, 6, seed=100)
    expected = shrink_frames(iter(decode_linearly(unseen)), 2)
    # 840 cells for 577 inputs; float32
    np.testing.assert_allclose(fit(8, ridge=0.0).paint(unseen), expected, atol=1e-4)


def test_a_map_says_how_many_clips_it_was_fitted_to():
    assert fit(2).num_clips == 2


def test_no_more_frames_are_read_than_the_latents_take():
    frames = iter(np.zeros((20, 32, 32, 3), np.float32))
    Fit().add(random_latents(2, 2, 2), frames)
    assert len([*frames]) == 20 - 5


def test_cells_are_looked_at_evenly_up_to_a_limit():
    latents = random_latents(1, 4, 4)
    few, all_cells = Fit(), Fit()
    few.add(latents, iter(decode_linearly(latents)), max_cells=8)
    all_cells.add(latents, iter(decode_linearly(latents)))
    assert (few.num_cells, all_cells.num_cells) == (8, 16)


def test_the_frames_of_a_latent_frame_become_their_mean():
    frames = np.stack([np.full((16, 16, 3), value, np.float32) for value in (0.5, 0.0, 0.1, 0.2, 0.3)])
    small = shrink_frames(iter(frames), 2)
    np.testing.assert_allclose(small, np.stack([np.full((PATCH, PATCH, 3), value) for value in (0.5, 0.15)]), rtol=1e-6)


def test_a_video_with_too_few_frames_is_an_error():
    with pytest.raises(ValueError, match="fewer frames"):
        shrink_frames(iter(np.zeros((4, 32, 32, 3), np.float32)), 2)


def test_colours_stay_between_minus_one_and_one():
    painted = ColorMap(np.full(fit(1).weights.shape, 9, np.float32), 1).paint(random_latents())
    assert painted.min() == -1
    assert painted.max() == 1


def test_without_a_map_what_varies_most_is_gray():
    latents = np.zeros((LATENT_CHANNELS, 2, 4, 4), np.float32)
    latents[7, :, :, 2:] = 3
    gray = paint_gray(latents)
    assert gray.shape == (2, 4 * PATCH, 4 * PATCH, 3)
    left, right = gray[:, :, : 2 * PATCH], gray[:, :, 2 * PATCH :]
    assert (left.std(), right.std()) == (0, 0)
    assert abs(left.mean() - right.mean()) == pytest.approx(1, abs=1e-3)


def test_latents_without_variation_are_painted():
    assert (paint_gray(np.ones((LATENT_CHANNELS, 1, 2, 2), np.float32)) == 0).all()


@pytest.mark.compiles
def test_the_map_of_the_built_in_vae_is_right_for_clips_that_it_has_not_seen():
    # not at the top: diffusers takes seconds
    import torch  # noqa: PLC0415
    from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import (  # noqa: PLC0415
        AutoencoderKLHunyuanVideo15,
    )

    from training.shapes.draw import draw, random_scene  # noqa: PLC0415
    from training.shapes.sizes import USUAL_SIZE  # noqa: PLC0415
    from training.shapes.vae import to_model  # noqa: PLC0415
    from training.shapes.vocabulary import all_combinations  # noqa: PLC0415

    vae, random = AutoencoderKLHunyuanVideo15.from_pretrained(SHAPES / "vae").eval(), np.random.default_rng(0)
    combinations = all_combinations()
    clips = []
    with torch.no_grad():
        for index in random.permutation(len(combinations))[:10]:  # torch takes a second of a core for each
            video = to_model([draw(random_scene(combinations[index], random, USUAL_SIZE))])
            latents = vae.encoder(video)[:, :LATENT_CHANNELS]
            frames = vae.decoder(latents)[0].clamp(-1, 1).permute(1, 2, 3, 0).numpy()
            clips.append((latents[0].numpy() * float(vae.config["scaling_factor"]), frames))
    fitted = Fit()
    for latents, frames in clips[:8]:
        fitted.add(latents, iter(frames))
    painter = fitted.solve()
    errors = [
        np.square(painter.paint(latents) - shrink_frames(iter(frames), latents.shape[1]))
        for latents, frames in clips[8:]
    ]
    # 27 dB were measured for 8 clips, 28 for 16; the mean colour alone gives 7.5
    assert -10 * np.log10(np.mean(errors) / 4) > 22
