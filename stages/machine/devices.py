"""The devices that a stage computes on, by the name in params/machine.toml."""

import jax

from stages.errors import MeshError


def pick_devices(platform: str) -> list[jax.Device]:
    """All devices of a platform: those of all hosts that have joined (host_protocol.py), else those of this host.

    Call it before anything else asks JAX for a device: then JAX starts no other platform, and does not touch a TPU that
    another process uses.

    Args:
        platform: "cpu", "tpu", ..., or "auto": what JAX prefers.
    Raises:
        MeshError: this machine has no such device, or JAX cannot use it.
    """
    if platform == "auto":
        return _list_devices(None, platform)
    before = jax.config.jax_platforms  # type: ignore[attr-defined]  # it is there, made at run time
    jax.config.update("jax_platforms", platform)
    try:
        return _list_devices(platform, platform)
    except MeshError:
        jax.config.update("jax_platforms", before)  # the next job of this process may ask for another one
        raise


def _list_devices(backend: str | None, platform: str) -> list[jax.Device]:
    try:
        # even to a process that has not joined the others, Cloud TPU shows the chips of the whole slice
        return jax.devices(backend) if jax.distributed.is_initialized() else jax.local_devices(backend=backend)
    except RuntimeError as error:
        raise MeshError(
            f'platform = "{platform}": JAX finds no such device on this machine ({error}). '
            'Set machine.platform in params/machine.toml to "auto" or "cpu"; '
            "a TPU also needs `pip install -e '.[tpu]'`."
        ) from error
