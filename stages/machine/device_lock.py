"""One process at a time on an accelerator, across all runs of doit and all users of this machine.

The locks are files in a folder that everybody can write to, beside the one by which libtpu keeps a TPU to one process.
A process takes them before it opens the devices, and has them until it ends, because JAX gives no device back. CPUs are
not locked.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from stages.errors import MeshError
from stages.machine.device_files import GPU_FILES, TPU_FILES
from stages.machine.file_lock import open_lock, try_lock
from stages.machine.holder import Holder, read_holder

FOLDER = Path("/tmp")  # noqa: S108 (not a temporary file, and TMPDIR can differ from user to user)
TPU, GPU = "tpu", "gpu"
_PREFIX = "hunyuan-stages-"
_FOR_ALL = 0o666
_MAX_BYTES = 1 << 12
_LOOK_S = 0.25
_VARIABLE = "JAX_PLATFORMS"
_DESCRIPTORS = "/dev/fd"  # those of the process that looks
_LAST_DIGITS = re.compile(r"[0-9]+$")
_INDEX = re.compile(r"[0-9]{1,6}")
# Kinds of accelerators: how their files begin, JAX's names of the platform, and the variables that limit a process to
# some of them, by their places among all.
_FILES: Mapping[str, tuple[str, ...]] = {TPU: TPU_FILES, GPU: GPU_FILES}
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
        Such as "tpu-0", for /dev/accel0; none for a CPU, or where a machine has no such device.
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
    try:
        while try_lock(descriptor) is False:
            if _has_opened_before(descriptor):
                os.close(descriptor)
                return
            wait(name, read_holder(os.pread(descriptor, _MAX_BYTES, 0)))
            time.sleep(_LOOK_S)
    except BaseException:
        os.close(descriptor)
        raise
    text = json.dumps(asdict(Holder.here()), sort_keys=True).encode() + b"\n"
    with suppress(OSError):  # it is locked all the same; only its name is missing for others
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))


def _has_opened_before(descriptor: int) -> bool:
    """Whether this process has the file of a descriptor open by another one as well: then it has the lock.

    What the file says is no proof: everybody can write it, and on a full disk nobody has.
    """
    file = os.fstat(descriptor)
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 (names of numbers)
        with suppress(OSError):  # the descriptor of the folder, which is closed again
            if int(name) != descriptor and os.path.samestat(os.fstat(int(name)), file):
                return True
    return False


def _is_installed(kind: str) -> bool:
    """Whether JAX has what it needs to open this kind of accelerator, where nobody has named one."""
    if kind == TPU:
        return find_spec("libtpu") is not None
    plugins = find_spec("jax_plugins")
    names = [module.name for module in iter_modules(plugins.submodule_search_locations or ())] if plugins else []
    return any("cuda" in name or "rocm" in name for name in names)


def _number(kind: str, files: Sequence[str], environment: Mapping[str, str]) -> list[int]:
    """Numbers of the accelerators that a process may use, as in the names of their files: all, or those of a variable.

    A variable counts the files that are there: where only /dev/nvidia2 is, as in a container, 0 means that one.
    """
    numbers = sorted({_number_of(file) for file in files if file.startswith(_FILES[kind])})
    for variable in _LIMITS[kind]:
        chosen = [each.strip() for each in environment.get(variable, "").split(",")]
        if all(_INDEX.fullmatch(index) and int(index) < len(numbers) for index in chosen):
            return sorted({numbers[int(index)] for index in chosen})
    return numbers


def _number_of(file: str) -> int:
    """The number at the end of a device file's name; 0 of one without, such as AMD's, which stands for all its GPUs."""
    digits = _LAST_DIGITS.search(file)
    return int(digits[0]) if digits else 0
