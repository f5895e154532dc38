"""Arguments of library calls keep the rules of the parameters of the same names."""

from typing import Any

import numpy as np
import pytest

from stages.errors import ParamsError
from stages.pipeline import decode, denoise, encode
from stages.request.arguments import check_arguments


def message(**arguments: Any) -> str:
    with pytest.raises(ParamsError) as caught:
        check_arguments(denoise.STAGE, **arguments)
    return str(caught.value)


def test_values_that_keep_their_rules_are_accepted():
    check_arguments(denoise.STAGE, num_frames=49, height=720, guidance_scale=6, flow_shift=None, dtype="bfloat16")
    check_arguments(decode.STAGE, enable_tiling=True, tile_size=256, tile_overlap=0.25, dtype="float32")
    check_arguments(encode.STAGE, prompt="", negative_prompt="猫", dtype="float32")


def test_a_fault_has_the_words_of_the_parameters_own():
    assert message(num_frames=50) == (
        "arguments, denoise.num_frames = 50: must be 4k + 1, because the VAE keeps frame 0 alone and folds each 4 "
        "after it into one. Use 49 or 53."
    )


def test_all_faults_are_listed_at_once():
    assert message(num_frames=5, height=33, seed=-1, dtype="float16").splitlines() == [
        "arguments, denoise.height = 33: must be a multiple of 16, the VAE's spatial compression. Use 32 or 48.",
        "  arguments, denoise.seed = -1: must be 0 to 9223372036854775807: the seed decides which video it is, so none "
        "is drawn. Take any number, such as `denoise.seed=$RANDOM` on the command line of a shell.",
        "  arguments, denoise.dtype = \"float16\": must be 'bfloat16' or 'float32'.",
    ]


@pytest.mark.parametrize(("value", "shown"), [(True, "true"), ("9", '"9"'), (9.0, "9.0")])
def test_a_value_of_another_type_is_a_fault_even_if_it_equals_a_valid_one(value: object, shown: str):
    assert message(num_frames=value) == (f"arguments, denoise.num_frames = {shown}: must be a whole number.")


@pytest.mark.parametrize(("name", "value"), [("num_frames", np.int64(9)), ("guidance_scale", np.float64(3))])
def test_a_number_of_numpy_is_a_fault_that_says_how_to_convert_it(name: str, value: np.generic):
    assert message(**{name: value}) == (
        f"arguments, denoise.{name} = {value!r}: must be a plain Python value. Use `.item()` of a NumPy or JAX number."
    )
