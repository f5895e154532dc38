"""What can keep this program from its work, before anything runs: the same as the native decoder."""

from stages.decode.checks import find_faults, size_bytes

__all__ = ["find_faults", "size_bytes"]
