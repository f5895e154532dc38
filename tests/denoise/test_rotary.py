"""The rotary embedding, against diffusers'."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.models.embeddings import apply_rotary_emb

from stages.denoise.rotary import rotate

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_that_of_diffusers_to_the_bit(dtype: str):
    random = np.random.default_rng(0)
    heads = random.normal(size=(2, 10, 3, 16)).astype(np.float32)
    turns = random.uniform(0, 7, (10, 8)).repeat(2, axis=1)
    cosines, sines = np.cos(turns).astype(np.float32), np.sin(turns).astype(np.float32)
    angles = torch.from_numpy(cosines), torch.from_numpy(sines)
    expected = apply_rotary_emb(torch.from_numpy(heads).to(DTYPES[dtype]), angles, sequence_dim=1)
    result = rotate(jnp.asarray(heads, dtype), (jnp.asarray(cosines), jnp.asarray(sines)))
    assert result.dtype == dtype
    np.testing.assert_array_equal(np.asarray(result, np.float32), expected.float().numpy())
