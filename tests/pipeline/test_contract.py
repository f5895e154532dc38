"""What passes between the stages."""

import pytest

from stages.errors import ContractError
from stages.pipeline.contract import CONTRACTS, STAGES, check_shapes


def test_stages_run_in_this_order():
    assert STAGES == ("encode", "denoise", "decode", "export")


def test_every_stage_reads_only_stages_before_it():
    for position, stage in enumerate(STAGES):
        assert set(CONTRACTS[stage].inputs) <= set(STAGES[:position])


def test_embeddings_hold_the_eight_tensors_of_the_reference():
    names = ["prompt_embeds", "prompt_embeds_2", "prompt_embeds_mask", "prompt_embeds_mask_2"]
    assert sorted(CONTRACTS["encode"].tensors) == sorted([*names, *(f"negative_{name}" for name in names)])


def test_latents_of_the_reference_fit():
    check_shapes("denoise", {"latents": (1, 32, 13, 45, 80)}, where="x")


def test_all_misfits_are_told_at_once():
    with pytest.raises(ContractError) as error:
        check_shapes("denoise", {"latent": (1,)}, where="my/file")
    assert str(error.value) == (
        "my/file: does not hold what denoise makes: `latents` is missing; `latent` is not part of it."
    )


def test_a_misshapen_tensor_is_told_with_both_shapes():
    with pytest.raises(ContractError) as error:
        check_shapes("denoise", {"latents": (1, 16, 3, 6, 6)}, where="my/file")
    assert str(error.value) == (
        "my/file: does not hold what denoise makes: `latents` is [1, 16, 3, 6, 6], not [1, 32, >= 1, >= 1, >= 1]."
    )


def test_of_a_file_of_another_kind_some_misfits_are_told():
    weights = {f"blocks.{index}.weight": (1,) for index in range(2000)}
    with pytest.raises(ContractError) as error:
        check_shapes("denoise", weights, where="my/file")
    spare = "; ".join(f"`blocks.{index}.weight` is not part of it" for index in range(15))
    assert str(error.value) == (
        f"my/file: does not hold what denoise makes: `latents` is missing; {spare}; and 1985 more."
    )


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_an_axis_without_any_size_is_told(axis: int):
    shape = [1, 32, 3, 6, 6]
    shape[axis] = 0
    with pytest.raises(ContractError) as error:
        check_shapes("denoise", {"latents": tuple(shape)}, where="my/file")
    assert str(error.value) == (
        f"my/file: does not hold what denoise makes: `latents` is {shape}, not [1, 32, >= 1, >= 1, >= 1]."
    )


@pytest.mark.parametrize(
    ("stage", "name", "shape", "dtypes"),
    [
        ("denoise", "latents", (1, 32, 3, 6, 6), {"BF16", "F32"}),
        ("decode", "frames", (1, 9, 96, 96, 3), {"BF16"}),
    ],
)
@pytest.mark.parametrize("dtype", ["BF16", "F32", "F16", "F64", "U8"])
def test_a_tensor_has_one_of_the_dtypes_of_its_contract(
    stage: str, name: str, shape: tuple[int, ...], dtypes: set[str], dtype: str
):
    if dtype in dtypes:
        check_shapes(stage, {name: shape}, where="my/file", dtypes={name: dtype})
        return
    with pytest.raises(ContractError) as error:
        check_shapes(stage, {name: shape}, where="my/file", dtypes={name: dtype})
    wanted = " or ".join(sorted(dtypes))
    assert str(error.value) == f"my/file: does not hold what {stage} makes: `{name}` is {dtype}, not {wanted}."


def test_embeddings_and_masks_are_in_model_dtype():
    assert {tensor.dtypes for tensor in CONTRACTS["encode"].tensors.values()} == {("BF16", "F32")}
