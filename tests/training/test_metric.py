"""The metric is right on drawn videos, so that a wrong reading is the video's fault."""

import numpy as np
import pytest

from stages.geometry import VideoSize
from training.shapes.draw import Video, draw, random_scene, way_px
from training.shapes.metric import NOTHING, read_video
from training.shapes.sizes import USUAL_SIZE
from training.shapes.vocabulary import Combination, all_combinations

SIZES = [USUAL_SIZE, VideoSize(5, 64, 64), VideoSize(9, 96, 160), VideoSize(25, 64, 160), VideoSize(13, 160, 96)]


def drawn(combination: Combination, *, seed: int, noise: float, size: VideoSize = USUAL_SIZE) -> Video:
    rng = np.random.default_rng(seed)
    video = draw(random_scene(combination, rng, size))
    return np.clip(video + noise * rng.standard_normal(video.shape), 0, 1).astype(np.float32)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_metric_reads_every_drawn_video_right_through_noise(size: VideoSize) -> None:
    """Noise of deviation 0.03 is rougher than what a video codec leaves."""
    combinations = all_combinations() if size == USUAL_SIZE else all_combinations()[::7]
    wrong = [
        combination
        for seed, combination in enumerate(combinations)
        if read_video(drawn(combination, seed=seed, noise=0.03, size=size)).combination != combination
    ]
    assert wrong == []


def test_overlap_of_a_drawn_shape_is_nearly_whole() -> None:
    reading = read_video(drawn(Combination("triangle", "purple", "up", "gray"), seed=1, noise=0.0))
    assert reading.overlap > 0.97


def test_empty_video_reads_as_nothing() -> None:
    reading = read_video(np.full((9, 96, 96, 3), 0.5, dtype=np.float32))
    assert reading.combination == Combination(NOTHING, NOTHING, NOTHING, "gray")


def test_single_frame_reads_as_still() -> None:
    frame = drawn(Combination("circle", "red", "left", "white"), seed=2, noise=0.0)[:1]
    assert read_video(frame).combination == Combination("circle", "red", "still", "white")


def test_travel_is_signed_and_in_px() -> None:
    right, down = read_video(drawn(Combination("circle", "red", "left", "white"), seed=2, noise=0.0)).travel_px
    assert right == pytest.approx(-way_px(USUAL_SIZE, "left"), abs=1)
    assert down == pytest.approx(0, abs=1)
