"""What the autoencoder is trained with: layers, scenes, weights."""

import numpy as np
import pytest
import torch

from stages.geometry import VideoSize
from training.shapes.draw import draw
from training.shapes.models import build_vae
from training.shapes.sizes import USUAL_SIZE
from training.shapes.vae import (
    fast_layers,
    near_outline,
    pixel_weight,
    random_scenes,
    to_model,
)
from training.shapes.vocabulary import held_out_combinations

TOLERANCE = 1e-4  # float32, another order of sums


@torch.no_grad()
def test_fast_layers_compute_what_diffusers_own_do() -> None:
    vae = build_vae(seed=1)
    video = to_model([draw(random_scenes(np.random.default_rng(2), 1, VideoSize(5, 64, 80))[0])])
    expected = vae.encoder(video), vae.decoder(vae.encoder(video)[:, :32])
    with fast_layers():
        actual = vae.encoder(video), vae.decoder(vae.encoder(video)[:, :32])
    for ours, own in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, own, atol=TOLERANCE, rtol=TOLERANCE)


def test_outline_is_a_band_around_changes_of_colour() -> None:
    video = -torch.ones(1, 3, 1, 12, 12)
    video[:, 0, :, 4:, :] = 1  # an edge between rows 3 and 4
    near = near_outline(video, 2)[0, 0, 0]
    assert near.all(dim=1).tolist() == [False] * 2 + [True] * 4 + [False] * 6
    weight = pixel_weight(video, object_weight=4.0)[0, 0, 0, :, 0]
    assert weight.mean().item() == pytest.approx(1)
    assert (weight / weight[0])[[1, 3, 4, 9]].tolist() == pytest.approx([1, 9, 13, 5])


def test_scenes_are_of_training_combinations() -> None:
    scenes = random_scenes(np.random.default_rng(4), 300, USUAL_SIZE)
    assert not {scene.combination for scene in scenes} & set(held_out_combinations())
