"""torch under JAX: equal to torch, and without a trace in the rest of the process."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from diffusers.utils.torch_utils import randn_tensor

from stages.denoise.attention.plain import plain_attention
from stages.denoise.sharding.collectives import attend_across
from stages.denoise.torch_bridge import (
    REMOVED_OVERLOADS,
    Surroundings,
    _unchanged_process,
    build_module,
    call,
    initial_noise,
    rotary_embedding,
    weight_shapes,
)
from stages.geometry import LatentSize
from tests.denoise.builders import MESH, TOY, TOY_SIZE, build_torch_module

ALONE = Surroundings(
    functools.partial(attend_across, attention=plain_attention, num_video_tokens=30, mesh=MESH), after={}
)


def as_jax(module: torch.nn.Module) -> dict[str, jax.Array]:
    return {name: jnp.asarray(weight.numpy()) for name, weight in module.state_dict().items()}


def test_torchax_still_needs_the_shim():
    """When this fails, torchax has the fix: require that release and delete the shim with REMOVED_OVERLOADS."""
    if "dim_Dimname" in torch.ops.aten.prod.overloads():
        pytest.skip("this torch still has the overloads that torchax names")
    result = subprocess.run([sys.executable, "-c", "import torchax"], capture_output=True, text=True, check=False)
    assert "no overload name" in result.stderr


def test_the_shim_leaves_no_placeholder_behind():
    for operator, overloads in REMOVED_OVERLOADS.items():
        packet = getattr(torch.ops.aten, operator)
        assert [name for name in overloads if name in vars(packet) and name not in packet.overloads()] == []


def test_importing_the_bridge_starts_no_device():
    """Otherwise the platform that a job asks for would come too late."""
    program = "import stages.denoise.torch_bridge; from jax._src import xla_bridge; " + (
        "print(xla_bridge.backends_are_initialized())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_importing_the_bridge_leaves_torch_and_the_environment_as_they_were():
    assert torch.backends.mha.get_fastpath_enabled()  # torchax switches it off
    assert "ENABLE_RUNTIME_UPTIME_TELEMETRY" not in os.environ  # torchax sets it


def test_variables_that_an_import_changes_or_removes_are_put_back(monkeypatch: pytest.MonkeyPatch):
    for name in ("CHANGED", "REMOVED"):
        monkeypatch.setenv(name, "before")
    before = dict(os.environ)
    with _unchanged_process():
        os.environ["CHANGED"] = os.environ["NEW"] = "after"
        del os.environ["REMOVED"]
    assert dict(os.environ) == before


def test_plain_torch_works_between_and_after_calls():
    module = build_module(TOY, ALONE)
    weights = {"weight": jnp.eye(24), "bias": jnp.zeros(24)}
    for _ in range(2):
        call(module, "transformer_blocks.0.attn.to_q", weights, jnp.ones((1, 24)))
        sum_ = torch.ones(2, 2) @ torch.ones(2)
        assert (type(sum_), sum_.device.type, sum_.tolist()) == (torch.Tensor, "cpu", [2.0, 2.0])


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
    doubled = Surroundings(ALONE.attend, after={"proj_out": lambda array: 2 * array})
    weights = {"weight": jnp.ones((32, 24)), "bias": jnp.zeros(32)}
    once, twice = (
        call(build_module(TOY, around), "proj_out", weights, jnp.ones((1, 24))) for around in (ALONE, doubled)
    )
    assert np.array_equal(twice, 2 * once)


def test_a_missing_weight_is_an_error():
    with pytest.raises(RuntimeError, match="bias"):
        call(build_module(TOY, ALONE), "proj_out", {"weight": jnp.zeros((32, 24))}, jnp.ones((1, 24)))


def test_layer_norms_are_float32_inside():
    hidden = np.random.default_rng(0).normal(loc=30, size=(1, 4, 24)).astype(ml_dtypes.bfloat16)
    block = build_module(TOY, ALONE)
    result = call(block, "transformer_blocks.0.norm2", {}, jnp.asarray(hidden))
    wide = hidden.astype(np.float64)
    exact = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-6)
    assert result.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(result, np.float64), exact, rtol=2**-8, atol=2**-10)  # one rounding


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
