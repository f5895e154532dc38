"""The transformer's training set: every size, and shorter videos as the beginnings of the longest."""

import dataclasses

import numpy as np
import torch

from stages.geometry import LATENT_CHANNELS, VideoSize, latent_size
from training.shapes.draw import draw, random_scene
from training.shapes.latents import clips_per_sides, draw_combinations, encode_sides
from training.shapes.models import build_vae
from training.shapes.sizes import LENGTHS, MAX_FRAMES, SIDES_PX
from training.shapes.vae import fast_layers, to_model
from training.shapes.vocabulary import Combination, held_out_combinations

TOLERANCE = 1e-4  # float32, another order of sums


@torch.no_grad()
def test_first_latent_frames_are_those_of_the_shorter_video() -> None:
    vae = build_vae(seed=1)
    longest = random_scene(
        Combination("circle", "blue", "right", "white"), np.random.default_rng(2), VideoSize(MAX_FRAMES, 64, 64)
    )
    with fast_layers():
        whole = vae.encoder(to_model([draw(longest)]))
        for length in LENGTHS:
            scene = dataclasses.replace(longest, size=VideoSize(length, 64, 64))
            alone = vae.encoder(to_model([draw(scene)]))
            torch.testing.assert_close(whole[:, :, : alone.shape[2]], alone, atol=TOLERANCE, rtol=TOLERANCE)


def test_every_size_has_clips_and_none_is_of_a_held_out_combination() -> None:
    counts = clips_per_sides()
    assert set(counts) == {(height, width) for height in SIDES_PX for width in SIDES_PX}
    shown = {c for sides, count in counts.items() for c in draw_combinations(sides, count, seed=5)}
    assert len(shown) == 243
    assert not shown & set(held_out_combinations())


def test_latents_are_those_of_the_longest_video_and_the_same_each_time() -> None:
    vae = build_vae(seed=1)
    with fast_layers():
        first, second = (encode_sides(vae, (64, 80), 2, seed=6) for _ in range(2))
    assert first.shape == (2, LATENT_CHANNELS, *latent_size(VideoSize(MAX_FRAMES, 64, 80)).shape[2:])
    assert torch.equal(first, second)
