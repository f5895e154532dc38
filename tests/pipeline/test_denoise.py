"""The declaration of denoise."""

import pytest
from pydantic import ValidationError

from stages.pipeline.denoise import DenoiseParams


@pytest.mark.parametrize(("num_frames", "offered"), [(120, "117 or 121"), (50, "49 or 53"), (2, "1 or 5")])
def test_a_length_that_the_vae_cannot_hold_is_refused_with_the_two_nearest(num_frames: int, offered: str):
    with pytest.raises(ValidationError, match=f"must be 4k . 1.*Use {offered}"):
        DenoiseParams(num_frames=num_frames)


def test_a_seed_is_what_a_torch_generator_takes():
    assert DenoiseParams(seed=2**63 - 1).seed == 2**63 - 1
    with pytest.raises(ValidationError):
        DenoiseParams(seed=2**63)
