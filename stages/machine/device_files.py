"""Accelerators by their files in /dev, for whoever must not start JAX."""

from pathlib import Path

_PATTERNS = ("accel*", "vfio/[0-9]*", "nvidia[0-9]*", "kfd")  # of TPUs, of GPUs of NVIDIA and of AMD
TPU_FILES, GPU_FILES = ("/dev/accel", "/dev/vfio/"), ("/dev/nvidia", "/dev/kfd")  # how their paths begin


def find_device_files(folder: Path = Path("/dev")) -> list[str]:
    """Their paths, sorted; none on a machine that has none, or hides them."""
    return sorted(str(path) for pattern in _PATTERNS for path in folder.glob(pattern))
