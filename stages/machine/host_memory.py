"""How much memory this machine offers to programs, and what a process gives back of it."""

import ctypes
import os
import re
import resource
from collections.abc import Sequence
from pathlib import Path

# Of this container, by version 2 of cgroups ("max" when it has none) and by version 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# Beside a limit, the bytes that the container's programs have, by either version.
_USED = ("memory.current", "memory.usage_in_bytes")
_SYSTEM = Path("/proc/meminfo")
_AVAILABLE = re.compile(r"^MemAvailable: *([0-9]+) kB$", re.MULTILINE)


def host_memory_bytes(limit_files: Sequence[Path] = _LIMITS) -> int:
    """Bytes of physical memory, or of a limit of this process that is smaller: its container's, or `ulimit -v`."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_read_limits(limit_files).values()]
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    return min(limits)


def available_memory_bytes(limit_files: Sequence[Path] = _LIMITS, system_file: Path = _SYSTEM) -> int:
    """Bytes that programs can still have, of the machine and within the limit of the container.

    Where the system does not say (macOS), all of its memory counts.
    """
    found = _AVAILABLE.search(system_file.read_text(encoding="ascii")) if system_file.is_file() else None
    available = [host_memory_bytes(limit_files), *([int(found[1]) * 1024] if found else [])]
    for file, limit in _read_limits(limit_files).items():
        used = [int(path.read_text(encoding="ascii")) for path in map(file.with_name, _USED) if path.is_file()]
        available.append(limit - max(used, default=0))
    return min(available)


def return_freed_memory() -> None:
    """Give the system what this process has freed and C's allocator keeps for later, where it can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _read_limits(files: Sequence[Path]) -> dict[Path, int]:
    texts = {file: file.read_text(encoding="ascii").strip() for file in files if file.is_file()}
    return {file: int(text) for file, text in texts.items() if text.isdecimal()}
