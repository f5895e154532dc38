"""Which form of attention runs on which platform: a row for each that has a kernel of its own."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import jax

from stages.denoise.attention.bounded import bounded_attention
from stages.denoise.attention.cudnn import gpu_attention
from stages.denoise.attention.plain import Attention, plain_attention
from stages.denoise.attention.splash import splash_attention
from stages.denoise.attention.tiles import BOUNDED_TILES, SPLASH_TILES, tiles_of


def _tpu(device: jax.Device, *, window_size: int, has_bounded_scores: bool) -> Attention:
    attend, tiles = (bounded_attention, BOUNDED_TILES) if has_bounded_scores else (splash_attention, SPLASH_TILES)
    return partial(attend, window_size=window_size, tiles=tiles_of(device.device_kind, tiles))


def _gpu(device: jax.Device, *, window_size: int, has_bounded_scores: bool) -> Attention:  # noqa: ARG001 (of a row)
    return partial(gpu_attention, window_size=window_size, compute_capability=device.compute_capability)


_KERNELS: Mapping[str, Callable[..., Attention]] = MappingProxyType({"tpu": _tpu, "gpu": _gpu})
_WITH_BOUNDS = frozenset({"tpu"})  # platforms with a kernel for bounded scores


def pick_attention(device: jax.Device, *, window_size: int, has_bounded_scores: bool) -> Attention:
    """The kernel for a device, or its plain twin where the device's platform has none.

    Args:
        device: on which it will run, or for which it is compiled.
        window_size: as in `plain_attention`.
        has_bounded_scores: as `bounded_attention` wants them; has no effect where `uses_bounds` is false.
    Raises:
        MeshError: the platform has a kernel, and nobody has looked for its tiles on this kind of device.
    """
    kernel = _KERNELS.get(device.platform)
    if kernel is None:
        return partial(plain_attention, window_size=window_size)
    return kernel(device, window_size=window_size, has_bounded_scores=has_bounded_scores)


def uses_bounds(device: jax.Device) -> bool:
    """Whether the kernel for a device depends on a bound of the scores: otherwise nobody has to find one."""
    return device.platform in _WITH_BOUNDS
