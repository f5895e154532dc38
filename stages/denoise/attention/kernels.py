"""Which form of attention runs on which platform: a row for each that has a kernel of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import jax

from stages.denoise.attention.bounded import bounded_attention
from stages.denoise.attention.cudnn import gpu_attention
from stages.denoise.attention.normed_rotation import norm_and_rotate, norm_and_rotate_on_tpu
from stages.denoise.attention.parts import Attention, JointAttention, Prepare, attend_jointly
from stages.denoise.attention.plain import plain_attention
from stages.denoise.attention.splash import splash_attention
from stages.denoise.attention.tiles import BOUNDED_TILES, SPLASH_TILES, tiles_of


@dataclass(frozen=True)
class Kernel:
    """A form of attention, ready to be called.

    Attributes:
        name: what run.json says.
        attend: the attention.
        prepare: queries or keys of video before it, as `norm_and_rotate`.
    """

    name: str
    attend: Attention
    prepare: Prepare = norm_and_rotate


def _tpu(device: jax.Device, *, window_size: int, has_bounded_scores: bool) -> Kernel:
    if has_bounded_scores:
        tiles = tiles_of(device.device_kind, BOUNDED_TILES)
        return Kernel(
            "bounded_attention",
            partial(bounded_attention, window_size=window_size, tiles=tiles),
            norm_and_rotate_on_tpu,
        )
    tiles = tiles_of(device.device_kind, SPLASH_TILES)
    return _joint("splash_attention", partial(splash_attention, window_size=window_size, tiles=tiles))


def _gpu(device: jax.Device, *, window_size: int, has_bounded_scores: bool) -> Kernel:  # noqa: ARG001 (of a row)
    capability = device.compute_capability
    return _joint("gpu_attention", partial(gpu_attention, window_size=window_size, compute_capability=capability))


def _joint(name: str, attention: JointAttention) -> Kernel:
    return Kernel(name, partial(attend_jointly, attention=attention))


_KERNELS: Mapping[str, Callable[..., Kernel]] = MappingProxyType({"tpu": _tpu, "gpu": _gpu})
_WITH_BOUNDS = frozenset({"tpu"})  # platforms with a kernel for bounded scores


def pick_attention(device: jax.Device, *, window_size: int, has_bounded_scores: bool) -> Kernel:
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
        return _joint("plain_attention", partial(plain_attention, window_size=window_size))
    return kernel(device, window_size=window_size, has_bounded_scores=has_bounded_scores)


def uses_bounds(device: jax.Device) -> bool:
    """Whether the kernel for a device depends on a bound of the scores: otherwise nobody has to find one."""
    return device.platform in _WITH_BOUNDS
