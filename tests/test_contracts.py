"""What passes between the stages."""

import pytest

from stages.contracts import CONTRACTS, STAGES, check_shapes
from stages.errors import ContractError


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
        "my/file: does not hold what denoise makes: `latents` is [1, 16, 3, 6, 6], not [1, 32, any, any, any]."
    )
