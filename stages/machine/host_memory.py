"""How much memory this machine has for its programs."""

import os
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container, as it sees itself; "max" where it has none


def host_memory_bytes(limit_file: Path = _LIMIT) -> int:
    """Bytes of physical memory, or the limit of the container that this runs in where that is smaller."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = limit_file.read_text(encoding="ascii").strip() if limit_file.is_file() else ""
    return min(physical, int(limit)) if limit.isdecimal() else physical
