"""How much memory this machine offers to programs."""

import os
import resource
from collections.abc import Sequence
from pathlib import Path

_AVAILABLE = Path("/proc/meminfo")  # Linux
# Of this container, by version 2 of cgroups ("max" when it has none) and by version 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def host_memory_bytes(limit_files: Sequence[Path] = _LIMITS) -> int:
    """Bytes of physical memory, or of a limit of this process that is smaller: its container's, or `ulimit -v`."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    texts = [file.read_text(encoding="ascii").strip() for file in limit_files if file.is_file()]
    limits += [int(text) for text in texts if text.isdecimal()]
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    return min(limits)


def available_memory_bytes(file: Path = _AVAILABLE) -> int:
    """Bytes that programs can have without taking them from others; all where the system does not say."""
    lines = file.read_text(encoding="ascii").splitlines() if file.is_file() else []
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return min([*free, host_memory_bytes()])
