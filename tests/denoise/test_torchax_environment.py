"""torchax, isolated: it leaves no trace in the rest of the process, and its norms are as exact as torch's."""

import os
import subprocess
import sys

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

from stages.denoise.torch_bridge import build_module, call
from stages.denoise.torchax_environment import REMOVED_OVERLOADS, _unchanged_process
from tests.denoise.builders import ALONE, TOY

pytestmark = pytest.mark.processes


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


_ASK_FOR_DEVICES = """
import sys
from stages.run.lean_imports import import_program
import_program("stages.denoise")
from jax._src import xla_bridge
print("stages.denoise.torch_bridge" in sys.modules, xla_bridge.backends_are_initialized())
"""


def test_importing_the_bridge_starts_no_device():
    """Otherwise the platform that a job asks for would come too late."""
    result = subprocess.run([sys.executable, "-c", _ASK_FOR_DEVICES], capture_output=True, text=True, check=True)
    assert result.stdout == "True False\n"


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


def test_layer_norms_are_float32_inside():
    hidden = np.random.default_rng(0).normal(loc=30, size=(1, 4, 24)).astype(ml_dtypes.bfloat16)
    block = build_module(TOY, ALONE)
    result = call(block, "transformer_blocks.0.norm2", {}, jnp.asarray(hidden))
    wide = hidden.astype(np.float64)
    exact = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-6)
    assert result.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(result, np.float64), exact, rtol=2**-8, atol=2**-10)  # one rounding
