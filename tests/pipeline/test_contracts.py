"""What passes between the stages."""

from stages.pipeline.contract import check_shapes
from stages.pipeline.contracts import EMBEDDINGS, LATENTS


def test_embeddings_hold_the_eight_tensors_of_the_reference():
    names = ["prompt_embeds", "prompt_embeds_2", "prompt_embeds_mask", "prompt_embeds_mask_2"]
    assert sorted(EMBEDDINGS.tensors) == sorted([*names, *(f"negative_{name}" for name in names)])


def test_embeddings_and_masks_are_in_model_dtype():
    assert {tensor.dtypes for tensor in EMBEDDINGS.tensors.values()} == {("BF16", "F32")}


def test_latents_of_the_reference_fit():
    check_shapes(LATENTS, {"latents": (1, 32, 13, 45, 80)}, where="x")
