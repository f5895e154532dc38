"""The devices that a stage computes on, by the name in params/machine.toml."""

import os
from collections.abc import Mapping
from types import MappingProxyType

import jax

from stages.errors import MeshError

_VARIABLE = "JAX_PLATFORMS"  # JAX's own choice of platforms, which counts where machine.platform is "auto"
# JAX's names of platforms that have one name here. With "gpu" itself JAX wants all of them to be there.
_BACKENDS: Mapping[str, tuple[str, ...]] = MappingProxyType({"gpu": ("cuda", "rocm")})
_INSTALL: Mapping[str, str] = MappingProxyType(
    {
        "tpu": "a TPU also needs `pip install -e '.[tpu]'`",
        "gpu": "a GPU also needs JAX with CUDA, `pip install 'jax[cuda12]'`, and NVIDIA's driver",
    }
)


def pick_devices(platform: str) -> list[jax.Device]:
    """All devices of a platform: those of all hosts that have joined (host_protocol.py), else those of this host.

    Call it before anything else asks JAX for a device: then JAX starts no other platform, and does not touch a TPU that
    another process uses. With "auto", the variable JAX_PLATFORMS chooses as it does for any program that uses JAX.

    Args:
        platform: "cpu", "tpu", "gpu", or "auto": what JAX prefers.
    Raises:
        MeshError: this machine has no such device, or JAX cannot use it.
    """
    if platform == "auto":
        return _pick_preferred()
    before = jax.config.jax_platforms  # type: ignore[attr-defined]  # it is there, made at run time
    refusals = []
    for backend in _BACKENDS.get(platform, (platform,)):
        jax.config.update("jax_platforms", backend)
        try:
            return _list_devices(backend)
        except (RuntimeError, AssertionError) as error:
            refusals.append(error)
    jax.config.update("jax_platforms", before)  # the next job of this process may ask for another one
    raise MeshError(
        f'platform = "{platform}": JAX finds no such device on this machine ({_explain(refusals[0])}). '
        f'Set machine.platform in params/machine.toml to "auto" or "cpu"'
        + (f"; {_INSTALL[platform]}." if platform in _INSTALL else ".")
    ) from refusals[0]


def _pick_preferred() -> list[jax.Device]:
    try:
        return _list_devices(None)
    except (RuntimeError, AssertionError) as error:
        wanted = os.environ.get(_VARIABLE)
        if not wanted:
            raise MeshError(f'platform = "auto": JAX cannot use this machine ({_explain(error)}).') from error
        raise MeshError(
            f'{_VARIABLE}={wanted} in the environment, and machine.platform is "auto": JAX finds no such device on '
            f"this machine ({_explain(error)}). Unset {_VARIABLE}, or set machine.platform in params/machine.toml to "
            '"cpu": it comes before the variable.'
        ) from error


def _list_devices(backend: str | None) -> list[jax.Device]:
    # even to a process that has not joined the others, Cloud TPU shows the chips of the whole slice
    return jax.devices(backend) if jax.distributed.is_initialized() else jax.local_devices(backend=backend)


def _explain(error: Exception) -> str:
    """JAX's reason; where its own assertion fails, which has no text, it was to use CUDA alone and has skipped it."""
    return str(error) or "it sees no NVIDIA GPU"
