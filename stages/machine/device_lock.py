"""One process at a time on an accelerator, across all runs of doit and all users of this machine.

The locks are files in a folder that everybody can write to, beside the one by which libtpu keeps a TPU to one process.
A process takes them before it opens the devices, and has them until it ends, because JAX gives no device back. CPUs are
not locked.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from stages.errors import MeshError
from stages.machine.file_lock import open_lock, try_lock
from stages.machine.holder import Holder, read_holder

FOLDER = Path("/tmp")  # noqa: S108 (not a temporary file, and TMPDIR can differ from user to user)
TPU, GPU = "tpu", "gpu"
_PREFIX = "hunyuan-stages-"
_FOR_ALL = 0o666
_MAX_BYTES = 1 << 12
_LOOK_S = 0.25
_VARIABLE = "JAX_PLATFORMS"
_THIS_PROCESS = secrets.token_hex(8)
# Kinds of accelerators: how their files begin, JAX's names of the platform, and the variable that limits a process to
# some of them, by their numbers.
_FILES: Mapping[str, tuple[str, ...]] = {TPU: ("/dev/accel", "/dev/vfio/"), GPU: ("/dev/nvidia", "/dev/kfd")}
_KINDS: Mapping[str, str] = {"tpu": TPU, "gpu": GPU, "cuda": GPU, "rocm": GPU}
_LIMITS: Mapping[str, tuple[str, ...]] = {
    TPU: ("TPU_VISIBLE_CHIPS", "TPU_VISIBLE_DEVICES"),
    GPU: ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
}


def name_locks(platform: str, files: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The accelerators that JAX would open, as the names of their locks.

    Args:
        platform: as in `devices.pick_devices`.
        files: of this machine's accelerators (device_files.py).
        environment: variables of the process.
    Returns:
        Such as "tpu-0"; none for a CPU, or where a machine has no such device.
    """
    wanted = platform if platform != "auto" else environment.get(_VARIABLE, "")
    kinds = [_KINDS.get(name, "") for name in wanted.split(",")] if wanted else [*filter(_is_installed, (TPU, GPU))]
    return [f"{kind}-{number}" for kind in dict.fromkeys(kinds) if kind for number in _number(kind, files, environment)]


def hold_devices(names: Iterable[str], wait: Callable[[str, Holder | None], None], *, folder: Path = FOLDER) -> None:
    """Take locks for as long as this process lives. Those that it has already stay with it.

    Args:
        names: of `name_locks`; taken in their order, so that nobody who has one waits for another who has the next.
        wait: called again and again while another process has a lock: with its name, and the holder, None where it is
            not known. What it raises ends the waiting.
        folder: where the locks are.
    Raises:
        MeshError: a lock file cannot be opened.
    """
    for name in sorted(names):
        path = folder / f"{_PREFIX}{name}.lock"
        try:
            descriptor = open_lock(path, mode=_FOR_ALL, follows_links=False)
        except OSError as error:
            raise MeshError(f"{path}: cannot be opened ({error.strerror}). Delete it, whatever it is.") from error
        _wait_for(name, descriptor, wait)  # and it is not closed: so the lock ends with the process


def _wait_for(name: str, descriptor: int, wait: Callable[[str, Holder | None], None]) -> None:
    while try_lock(descriptor) is False:
        holder = read_holder(os.pread(descriptor, _MAX_BYTES, 0))
        if holder is not None and holder.token == _THIS_PROCESS:
            os.close(descriptor)
            return
        wait(name, holder)
        time.sleep(_LOOK_S)
    text = json.dumps(asdict(replace(Holder.here(), token=_THIS_PROCESS)), sort_keys=True).encode() + b"\n"
    with suppress(OSError):  # it is locked all the same; only its name is missing for others
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))


def _is_installed(kind: str) -> bool:
    """Whether JAX has what it needs to open this kind of accelerator, where nobody has named one."""
    if kind == TPU:
        return find_spec("libtpu") is not None
    plugins = find_spec("jax_plugins")
    names = [module.name for module in iter_modules(plugins.submodule_search_locations or ())] if plugins else []
    return any("cuda" in name or "rocm" in name for name in names)


def _number(kind: str, files: Sequence[str], environment: Mapping[str, str]) -> list[int]:
    """Numbers of the accelerators that a process may use, as the variables count them: all, or those that one names."""
    all_of_kind = range(sum(file.startswith(_FILES[kind]) for file in files))
    for variable in _LIMITS[kind]:
        chosen = environment.get(variable, "").split(",")
        if all(number.isdecimal() and int(number) in all_of_kind for number in chosen):
            return sorted({int(number) for number in chosen})
    return list(all_of_kind)
