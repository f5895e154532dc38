"""The forward pass against diffusers' own, with all its masked tokens."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from stages.denoise.attention.kernels import pick_attention
from stages.denoise.text_tokens import PromptEmbeds, pack_text_tokens
from stages.denoise.torch_bridge import initial_noise, rotary_embedding
from stages.denoise.transformer import predict_velocity
from tests.denoise.builders import MESH, TOY, TOY_SIZE, build_prompt, build_torch_module, load, write_checkpoint

pytestmark = pytest.mark.compiles

TIMESTEP = 731.25
NUM_IMAGE_TOKENS = 3


def predict_by_diffusers(latents: np.ndarray, prompt: PromptEmbeds, dtype: torch.dtype) -> np.ndarray:
    module = build_torch_module().to(dtype)
    condition = torch.zeros(1, TOY.in_channels - latents.shape[1], *latents.shape[2:])
    arguments = {
        "hidden_states": torch.cat([torch.from_numpy(latents.astype(np.float32)), condition], dim=1),
        "timestep": torch.tensor([TIMESTEP]),
        "encoder_hidden_states": torch.from_numpy(prompt.prompt_embeds),
        "encoder_attention_mask": torch.from_numpy(prompt.prompt_embeds_mask),
        "encoder_hidden_states_2": torch.from_numpy(prompt.prompt_embeds_2),
        "encoder_attention_mask_2": torch.from_numpy(prompt.prompt_embeds_mask_2),
        "image_embeds": torch.zeros(1, NUM_IMAGE_TOKENS, TOY.image_embed_dim),
    }
    with torch.no_grad():
        result = module(**{name: value.to(dtype) for name, value in arguments.items()}, return_dict=False)[0]
    return result.float().numpy()


def predict(folder, latents: np.ndarray, prompts: list[PromptEmbeds]) -> np.ndarray:
    kernel = pick_attention(MESH.devices.flat[0], window_size=0, has_bounded_scores=False)
    forward = jax.jit(functools.partial(predict_velocity, config=TOY, kernel=kernel, mesh=MESH))
    velocity = forward(
        load(folder, dtype=str(latents.dtype)),
        jnp.asarray(latents),
        pack_text_tokens(prompts, dtype=latents.dtype),
        jnp.array([TIMESTEP], latents.dtype),
        rotary_embedding(TOY_SIZE, TOY),
    )
    assert velocity.dtype == latents.dtype
    return np.moveaxis(np.asarray(velocity, np.float32), 2, 1).reshape(-1, *latents.shape[1:])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("transformer"))


def test_a_batch_of_prompts_equals_diffusers_one_by_one(checkpoint):
    latents = initial_noise(TOY_SIZE, seed=0, dtype="float32")
    prompts = [build_prompt(9, 5, seed=1), build_prompt(2, seed=2)]
    velocity = predict(checkpoint, latents, prompts)
    for result, prompt in zip(velocity, prompts, strict=True):
        expected = predict_by_diffusers(latents, prompt, torch.float32)[0]
        np.testing.assert_allclose(result, expected, atol=1e-5)  # float32, values around 1


def test_bfloat16_is_as_close_to_the_truth_as_diffusers_is(checkpoint):
    latents = initial_noise(TOY_SIZE, seed=0, dtype="bfloat16")
    prompt = build_prompt(9, 5)
    truth = predict_by_diffusers(latents, prompt, torch.float32)
    theirs = predict_by_diffusers(latents, prompt, torch.bfloat16)
    ours = predict(checkpoint, latents, [prompt])
    assert np.abs(ours - truth).mean() < 1.2 * np.abs(theirs - truth).mean()
