"""Which form of attention runs on which platform: a row for each that has a kernel of its own."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import jax

from stages.denoise.attention.cudnn import gpu_attention
from stages.denoise.attention.plain import Attention, plain_attention
from stages.denoise.attention.splash import splash_attention, tiles_of


def _splash(device: jax.Device, *, window_size: int) -> Attention:
    return partial(splash_attention, window_size=window_size, tiles=tiles_of(device.device_kind))


def _gpu(device: jax.Device, *, window_size: int) -> Attention:
    return partial(gpu_attention, window_size=window_size, compute_capability=device.compute_capability)


_KERNELS: Mapping[str, Callable[..., Attention]] = MappingProxyType({"tpu": _splash, "gpu": _gpu})


def pick_attention(device: jax.Device, *, window_size: int) -> Attention:
    """The kernel for a device, or its plain twin where the device's platform has none.

    Args:
        device: on which it will run, or for which it is compiled.
        window_size: as in `plain_attention`.
    Raises:
        MeshError: the platform has a kernel, and nobody has looked for its tiles on this kind of device.
    """
    kernel = _KERNELS.get(device.platform)
    return (
        partial(plain_attention, window_size=window_size) if kernel is None else kernel(device, window_size=window_size)
    )
