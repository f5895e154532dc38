"""What a video shows is in the picture, and a shorter video is the beginning of a longer one."""

import dataclasses
import itertools

import numpy as np
import pytest

from stages.geometry import VideoSize
from training.shapes.draw import Scene, Window, centers_px, draw, middle_radius_px, random_scene, speed_px
from training.shapes.sizes import MAX_FRAMES, SIDES_PX, USUAL_SIZE
from training.shapes.vocabulary import MOTIONS, SHAPES, Combination


def scene_of(shape: str, motion: str, size: VideoSize, *, seed: int = 0) -> Scene:
    return random_scene(Combination(shape, "red", motion, "black"), np.random.default_rng(seed), size)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_object_never_touches_the_sides(shape: str, motion: str) -> None:
    corner_sizes = itertools.product((SIDES_PX[0], SIDES_PX[-1]), repeat=2)
    for seed, (height, width) in enumerate(corner_sizes):
        video = draw(scene_of(shape, motion, VideoSize(MAX_FRAMES, height, width), seed=seed))
        rim = (video[:, 0], video[:, -1], video[:, :, 0], video[:, :, -1])
        assert max(float(side.max()) for side in rim) == 0
        assert (video.max(axis=(1, 2, 3)) > 0.5).all()


def test_shorter_video_is_the_beginning_of_a_longer_one() -> None:
    long = scene_of("triangle", "up", VideoSize(MAX_FRAMES, 96, 112))
    short = dataclasses.replace(long, size=VideoSize(9, 96, 112))
    np.testing.assert_array_equal(draw(short), draw(long)[:9])


def test_object_stays_where_it_has_arrived_after_the_longest_video() -> None:
    centers = centers_px(scene_of("circle", "right", VideoSize(MAX_FRAMES + 24, 64, 64)))
    np.testing.assert_array_equal(centers[MAX_FRAMES:], centers[[MAX_FRAMES - 1] * 24])


def test_speed_grows_with_the_side_along_the_motion_and_radius_with_the_shorter_one() -> None:
    wide = VideoSize(9, 64, 160)
    assert speed_px(wide, "right") > 2 * speed_px(wide, "down")
    assert speed_px(wide, "still") == 0
    assert middle_radius_px(wide) == middle_radius_px(VideoSize(9, 64, 64)) < middle_radius_px(USUAL_SIZE)


def test_window_is_the_part_of_the_whole() -> None:
    scene = scene_of("square", "down", USUAL_SIZE)
    part = draw(scene, Window(first=3, num_frames=5, top=16, left=32, height=48, width=24))
    np.testing.assert_allclose(part, draw(scene)[3:8, 16:64, 32:56], atol=1e-5)  # another order of sums
