"""diffusers' modules under JAX: equal to torch."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.utils.torch_utils import randn_tensor

from stages.denoise.torch_bridge import (
    build_module,
    call,
    initial_noise,
    rotary_embedding,
    weight_shapes,
)
from stages.geometry import LatentSize
from tests.denoise.builders import ALONE, TOY, TOY_SIZE, build_torch_module

pytestmark = pytest.mark.processes


def as_jax(module: torch.nn.Module) -> dict[str, jax.Array]:
    return {name: jnp.asarray(weight.numpy()) for name, weight in module.state_dict().items()}


def test_the_module_holds_no_weights_and_one_block():
    module = build_module(TOY, ALONE)
    assert {weight.device.type for weight in module.parameters()} == {"meta"}
    assert len(module.transformer_blocks) == 1


def test_weight_names_and_shapes_are_those_of_diffusers():
    block, rest = weight_shapes(TOY)
    stacked = {f"transformer_blocks.{layer}.{name}": shape for layer in range(3) for name, shape in block.items()}
    expected = {name: tuple(weight.shape) for name, weight in build_torch_module().state_dict().items()}
    assert {**rest, **stacked} == expected


@pytest.mark.parametrize("name", ["time_embed", "context_embedder_2", "x_embedder"])
def test_a_part_under_jax_equals_torch(name: str):
    part = build_torch_module().get_submodule(name)
    shape = {"time_embed": (1,), "context_embedder_2": (2, 3, 10), "x_embedder": (1, 65, 2, 3, 5)}[name]
    argument = np.random.default_rng(0).uniform(0, 900, shape).astype(np.float32)
    expected = part(torch.from_numpy(argument)).detach().numpy()
    result = jax.jit(lambda *arguments: call(build_module(TOY, ALONE), name, *arguments))(
        as_jax(part), jnp.asarray(argument)
    )
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)  # float32, sums in another order


def test_what_happens_after_a_layer_is_done_to_its_result():
    doubled = replace(ALONE, after={"proj_out": lambda array: 2 * array})
    weights = {"weight": jnp.ones((32, 24)), "bias": jnp.zeros(32)}
    once, twice = (
        call(build_module(TOY, around), "proj_out", weights, jnp.ones((1, 24))) for around in (ALONE, doubled)
    )
    assert np.array_equal(twice, 2 * once)


def test_a_missing_weight_is_an_error():
    with pytest.raises(RuntimeError, match="bias"):
        call(build_module(TOY, ALONE), "proj_out", {"weight": jnp.zeros((32, 24))}, jnp.ones((1, 24)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_noise_equals_diffusers_to_the_bit(dtype: str):
    generator = torch.Generator("cpu").manual_seed(2**63 - 1)
    expected = randn_tensor(TOY_SIZE.shape, generator, torch.device("cpu"), getattr(torch, dtype))
    noise = initial_noise(TOY_SIZE, seed=2**63 - 1, dtype=dtype)
    assert (str(noise.dtype), noise.shape) == (dtype, (1, 32, 2, 3, 5))
    assert noise.tobytes() == expected.contiguous().view(torch.uint8).numpy().tobytes()


def test_rotary_embedding_turns_by_position_along_each_axis():
    cosines, sines = rotary_embedding(LatentSize(2, 1, 3), TOY)
    # Four channels per axis: two frequencies, 1 and 256 ** -0.5, each for two neighbours.
    frequencies = np.array([1, 1, 1 / 16, 1 / 16])
    positions = [(frame, 0, column) for frame in range(2) for column in range(3)]
    angles = np.array([np.concatenate([axis * frequencies for axis in position]) for position in positions])
    np.testing.assert_allclose(cosines, np.cos(angles), atol=1e-7)
    np.testing.assert_allclose(sines, np.sin(angles), atol=1e-7)
