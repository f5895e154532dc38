"""Sizes of pixels, latents and tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.geometry import LatentSize, VideoSize, is_valid_num_frames, latent_size, video_size


def test_the_reference_video_has_the_known_latent_shape():
    size = latent_size(VideoSize(49, 720, 1280))
    assert size.shape == (1, 32, 13, 45, 80)  # measured on the real pipeline


@pytest.mark.parametrize("num_frames", [1, 5, 49, 121, 241])
def test_lengths_of_4k_plus_1_are_valid(num_frames: int):
    assert is_valid_num_frames(num_frames)


@pytest.mark.parametrize("num_frames", [-3, 0, 2, 3, 4, 50])
def test_other_lengths_are_not(num_frames: int):
    assert not is_valid_num_frames(num_frames)


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 100))
def test_latents_decode_to_a_video_that_has_these_latents(num_frames: int, height: int, width: int):
    latents = LatentSize(num_frames, height, width)
    assert latent_size(video_size(latents)) == latents
