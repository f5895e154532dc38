"""What is decoded of a clip is what is around its object."""

import numpy as np
import torch

from stages.geometry import VideoSize
from training.shapes.boxes import box_of, decode_boxes, whole_box
from training.shapes.draw import draw, random_scene
from training.shapes.models import build_vae
from training.shapes.sizes import MAX_FRAMES, random_sides
from training.shapes.vae import fast_layers, to_model
from training.shapes.vocabulary import Combination, all_combinations

TOLERANCE = 1e-4  # float32, another order of sums


@torch.no_grad()
def test_decoding_of_the_whole_is_the_decoders_own() -> None:
    vae, size = build_vae(seed=1), VideoSize(5, 64, 80)
    scenes = [random_scene(c, np.random.default_rng(2), size) for c in all_combinations()[:2]]
    with fast_layers():
        latents = vae.encoder(to_model([draw(scene) for scene in scenes]))[:, :32]
        ours = torch.cat(decode_boxes(vae, latents, [whole_box(size)] * 2))
        torch.testing.assert_close(ours, vae.decoder(latents), atol=TOLERANCE, rtol=TOLERANCE)


def test_outside_of_the_box_is_plain_ground() -> None:
    rng = np.random.default_rng(3)
    for combination in all_combinations()[::5]:
        scene = random_scene(combination, rng, VideoSize(MAX_FRAMES, *random_sides(rng)))
        video = to_model([draw(scene)])
        box_of(scene).pixels(video).fill_(video[0, 0, 0, 0, 0])
        assert (video[:, 0] == video[0, 0, 0, 0, 0]).all()


def test_box_of_an_object_that_stands_still_is_smaller_than_the_picture() -> None:
    size = VideoSize(9, 160, 160)
    still = random_scene(Combination("circle", "red", "still", "black"), np.random.default_rng(4), size)
    box = box_of(still)
    assert (box.rows.stop - box.rows.start) * (box.columns.stop - box.columns.start) <= 36
    assert whole_box(size).rows == slice(0, 10)
