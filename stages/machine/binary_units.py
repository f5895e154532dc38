"""Memory and room on a disk, in GiB and MiB. What people ask for is in GB (store/quantities.py)."""

from typing import Final

MIB: Final = 2**20
GIB: Final = 2**30


def show_gib(size_bytes: float) -> str:
    """In GiB, however few that are, such as "15.5 GiB"."""
    return f"{size_bytes / GIB:.1f} GiB"


def show_binary(size_bytes: float, *, mib_digits: int = 2) -> str:
    """In GiB from one GiB on, such as "1.50 GiB", else in MiB, with so many digits after the point."""
    return f"{size_bytes / GIB:.2f} GiB" if size_bytes >= GIB else f"{size_bytes / MIB:.{mib_digits}f} MiB"
