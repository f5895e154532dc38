"""The bound of the scores, against what diffusers' own norms and rotary embedding make of the worst tokens."""

import numpy as np
import pytest
import torch
from diffusers.models.embeddings import apply_rotary_emb

from stages.denoise.score_bound import read_max_score
from tests.denoise.builders import TOY, build_torch_module, dit_weights, write_checkpoint

PAIRS = TOY.attention_head_dim // 2


def find_scores(attention, query_norm: str, key_norm: str) -> np.ndarray:
    """The scores of tokens that lie in one pair of channels each, at any angle, and of random ones."""
    random = torch.Generator().manual_seed(0)
    angles = torch.rand(40 * PAIRS, generator=random) * 2 * np.pi
    tokens = torch.zeros(len(angles), PAIRS, 2)
    rows = torch.arange(len(angles))
    tokens[rows, rows % PAIRS] = torch.stack([angles.cos(), angles.sin()], -1)
    tokens = torch.cat([tokens.flatten(1), torch.randn(100, 2 * PAIRS, generator=random)])[None, :, None]
    turns = torch.rand(tokens.shape[1], PAIRS, generator=random).repeat_interleave(2, 1) * 2 * np.pi
    with torch.no_grad():
        query, key = (getattr(attention, name)(tokens) for name in (query_norm, key_norm))
        if query_norm == "norm_q":
            query = apply_rotary_emb(query, (turns.cos(), turns.sin()), sequence_dim=1)
        return (query[0, :, 0] @ key[0, :, 0].T).numpy() / np.sqrt(TOY.attention_head_dim)


@pytest.mark.parametrize("query_norm", ["norm_q", "norm_added_q"])
@pytest.mark.parametrize("key_norm", ["norm_k", "norm_added_k"])
def test_no_score_exceeds_the_bound(tmp_path, query_norm, key_norm):
    bound = read_max_score(dit_weights(write_checkpoint(tmp_path)), TOY)
    for block in build_torch_module().transformer_blocks:
        assert np.abs(find_scores(block.attn, query_norm, key_norm)).max() <= bound


def test_the_bound_is_the_score_of_the_worst_tokens(tmp_path):
    """But for the room that it leaves to rounding, and weights that differ within a pair."""
    bound = read_max_score(dit_weights(write_checkpoint(tmp_path)), TOY)
    names = [(query, key) for query in ("norm_q", "norm_added_q") for key in ("norm_k", "norm_added_k")]
    blocks = build_torch_module().transformer_blocks
    worst = max(np.abs(find_scores(block.attn, *pair)).max() for block in blocks for pair in names)
    assert bound < 1.15 * worst


def test_a_large_weight_counts_whatever_its_sign_and_place(tmp_path):
    folder = write_checkpoint(tmp_path)
    small = read_max_score(dit_weights(folder), TOY)
    module = build_torch_module()
    with torch.no_grad():
        for norm in ("norm_added_q", "norm_k"):
            getattr(module.transformer_blocks[1].attn, norm).weight[5] = -10
    module.save_pretrained(folder)
    large = read_max_score(dit_weights(folder), TOY)
    assert small < 10 < large == pytest.approx(100 * np.sqrt(TOY.attention_head_dim) * (1 + 2**-5))
