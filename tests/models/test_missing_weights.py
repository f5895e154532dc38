"""What is said of weights that are not there: each kind of fault in a sentence of its own."""

import pytest

from stages.models.missing_weights import explain_missing_weights

WOULD = "here: would read model.safetensors, or an index of shards, and holds neither. "


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "There is nothing. Fix it."),
        (["config.json", "README.md"], "There is README.md, config.json. Fix it."),
        (
            ["model.fp16.safetensors", "model.bf16.safetensors"],
            'There is model.bf16.safetensors, model.fp16.safetensors, weights of the variants "bf16", "fp16". '
            'Set model.variant = "bf16" or "fp16".',
        ),
        (
            ["model.safetensors.index.fp16.json", "model.fp16-00001-of-00002.safetensors"],
            'There is model.safetensors.index.fp16.json, weights of the variant "fp16". Set model.variant = "fp16".',
        ),
        (
            ["model.safetensors.incomplete"],
            "There is model.safetensors.incomplete, which has not come whole. Finish that download, or download it "
            "again.",
        ),
        (
            [f"model-0000{i}-of-00005.safetensors" for i in range(1, 6)],
            "There is model-00001-of-00005.safetensors, model-00002-of-00005.safetensors, "
            "model-00003-of-00005.safetensors and 2 more, and no index that says which of them holds what. Download "
            "or copy it, too.",
        ),
        (
            ["config.json", "hunyuanvideo15_text.safetensors"],
            "There is hunyuanvideo15_text.safetensors. If that holds these weights under diffusers' names, rename it; "
            "what another tool has written must be converted first.",
        ),
        (
            ["config.json", "pytorch_model.bin"],
            "There is pytorch_model.bin, but weights are read from safetensors files only. Use a checkpoint that has "
            "them, or save this one again by `save_pretrained`.",
        ),
        (
            ["model-Q4_K_M.gguf"],
            "There is model-Q4_K_M.gguf, but weights are read from safetensors files only. Use a checkpoint that has "
            "them, or save this one again by `save_pretrained`.",
        ),
    ],
)
def test_each_fault_has_a_sentence_of_its_own(names: list[str], sentence: str):
    assert explain_missing_weights("model", "", names, "here", "Fix it.") == WOULD + sentence


def test_a_variant_that_is_not_there_is_among_what_would_be_read():
    assert explain_missing_weights("model", "fp8", ["model.fp16.safetensors"], "here", "Fix it.") == (
        "here: would read model.fp8.safetensors or model.safetensors, or an index of shards, and holds neither. There "
        'is model.fp16.safetensors, weights of the variant "fp16". Set model.variant = "fp16".'
    )
