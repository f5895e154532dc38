"""The dtypes of tensors in files, as this project, numpy and safetensors name them, and types for annotations."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

DTYPES: Mapping[str, np.dtype[Any]] = {
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
    "float32": np.dtype(np.float32),
}
SAFETENSORS_NAMES: Mapping[str, str] = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
FLOATS = "F32, F16 or BF16"  # for messages


def name_dtypes(tensors: Mapping[str, Array]) -> dict[str, str]:
    """The dtype of each tensor as the header of a file names it ("F32"), or as NumPy does where no stage writes it."""
    return {name: SAFETENSORS_NAMES.get(array.dtype.name, array.dtype.name) for name, array in tensors.items()}
