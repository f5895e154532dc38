"""Variants are known by the names that loaders look for, and by nothing else."""

import pytest

from stages.models.weight_names import find_variants, index_names, single_name


@pytest.mark.parametrize("variant", ["fp16", "bf16-ema"])
def test_a_variant_is_found_in_every_name_under_which_it_would_be_read(variant: str):
    for name in (single_name("model", variant), *index_names("model", variant)):
        assert find_variants([name]) == {variant: [name]}


def test_weights_without_a_variant_and_single_shards_are_no_variants():
    names = ["model.safetensors", "model.safetensors.index.json", "model.fp16-00001-of-00002.safetensors", "a.b.c"]
    assert find_variants(names, "model") == {}


def test_other_weights_are_of_no_variant_of_these():
    assert find_variants(["adapter.fp16.safetensors"], "model") == {}
