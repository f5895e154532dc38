"""How much memory this machine offers to programs."""

import os
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of this container; "max" when it has none


def host_memory_bytes(limit_file: Path = _LIMIT) -> int:
    """Bytes of physical memory, or the limit of the container that this runs in, whichever is smaller."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = limit_file.read_text(encoding="ascii").strip() if limit_file.is_file() else ""
    return min(physical, int(limit)) if limit.isdecimal() else physical
