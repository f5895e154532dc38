"""The environment in which torch's operators run under JAX: torchax's, isolated from the rest of the process.

Operators are changed in an environment of our own, and torchax's modes are on only while a function is traced. Its
import switches off a fast path of torch's attention and sets an environment variable, which is put back; what stays is
a device `torch.jax`, and decompositions in a table that torch's compiler reads. No JAX device is started before the
first call of `torchax_environment`.
"""

import functools
import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import torch

# torchax 0.0.13 names these ATen overloads while it is imported, and torch >= 2.13 no longer has them
# (google/torchax#101). Remove the shim when a release has the fix; tests/denoise/test_torchax_environment.py says when.
REMOVED_OVERLOADS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all": ("dimname", "dimname_out"),
        "index_add": ("dimname",),
        "index_copy": ("dimname",),
        "index_copy_": ("dimname",),
        "index_fill": ("Dimname_Scalar", "Dimname_Tensor"),
        "index_fill_": ("Dimname_Scalar", "Dimname_Tensor"),
        "norm": ("names_ScalarOpt_dim", "names_ScalarOpt_dim_dtype", "names_dtype_out", "names_out"),
        "prod": ("dim_Dimname",),
        "std": ("correction_names", "correction_names_out", "names_dim", "names_out"),
        "std_mean": ("correction_names", "names_dim"),
        "unbind": ("Dimname",),
    }
)


@contextmanager
def _placeholders_for_removed_overloads() -> Iterator[None]:
    """Give each overload that torch does not have a placeholder that no operator equals, and take it away again."""
    given: list[tuple[Any, str]] = []
    for operator, overloads in REMOVED_OVERLOADS.items():
        packet = getattr(torch.ops.aten, operator)
        given += [(packet, overload) for overload in overloads if overload not in packet.overloads()]
    for packet, overload in given:
        setattr(packet, overload, object())
    try:
        yield
    finally:
        for packet, overload in given:
            delattr(packet, overload)


@contextmanager
def _unchanged_process() -> Iterator[None]:
    """Put back torch's fast path of attention and the environment variables."""
    is_fastpath_on = torch.backends.mha.get_fastpath_enabled()
    variables = dict(os.environ)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fastpath_on)
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)


with _unchanged_process(), _placeholders_for_removed_overloads():
    from torchax import decompositions  # noqa: F401 (names removed overloads; the first Environment would import it)
    from torchax.tensor import Environment, XLADispatchMode

# torch wraps this method against torch's compiler, and the first call would import that compiler, for a second.
XLADispatchMode.__torch_dispatch__ = inspect.unwrap(XLADispatchMode.__torch_dispatch__)


def _layer_norm_float32(
    hidden: Any, normalized_shape: list[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> tuple[Any, Any, Any]:
    """aten.native_layer_norm with mean and variance in float32, as torch has them; torchax has them in bfloat16."""
    axes = tuple(range(-len(normalized_shape), 0))
    wide = hidden.jax().astype(jnp.float32)
    mean = wide.mean(axes, keepdims=True)
    scale = jax.lax.rsqrt(wide.var(axes, keepdims=True) + eps)
    result = (wide - mean) * scale
    if weight is not None:
        result = result * weight.jax().astype(jnp.float32)
    if bias is not None:
        result = result + bias.jax().astype(jnp.float32)
    wrapped: tuple[Any, Any, Any] = torchax_environment().j2t_iso((result.astype(hidden.jax().dtype), mean, scale))
    return wrapped


def _unbind(tensor: Any, dim: int = 0) -> Any:
    """aten.unbind; torchax runs torch's own decomposition, which first imports SymPy, for half a second."""
    array = tensor.jax()
    pieces = jnp.split(array, array.shape[dim], dim)
    return torchax_environment().j2t_iso(tuple(jnp.squeeze(piece, dim) for piece in pieces))


@functools.cache
def torchax_environment() -> Environment:
    """Torchax's state for this module. Making it starts JAX's devices, so it waits until they have been chosen."""
    with jax.ensure_compile_time_eval():  # it makes a random key, which must not belong to the function being traced
        environment = Environment()
    environment.override_op_definition(torch.ops.aten.native_layer_norm, _layer_norm_float32)
    environment.override_op_definition(torch.ops.aten.unbind.int, _unbind)
    return environment
