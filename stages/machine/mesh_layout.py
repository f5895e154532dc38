"""How a mesh is written down: sizes of its axes, such as "2x4x1". Loads no JAX: it is checked before anything runs.

What the axes mean, and which chips stand where, is stages/denoise's to know.
"""

import re
from typing import Final

from stages.errors import MeshError

AXES: Final = ("cfg", "sequence", "heads")  # guidance branches; video and text tokens; attention heads
NUM_BRANCHES: Final = 2  # of guidance: cond and uncond
AUTO: Final = "auto"
_SIZE: Final = re.compile(r"0*[1-9][0-9]{0,5}")  # there are no meshes of a million devices
_FIX = "Set machine.mesh in params/machine.toml"


def parse_layout(layout: str) -> tuple[int, int, int]:
    """Sizes of the axes AXES.

    Raises:
        MeshError: the layout is not three sizes, or has more branches than guidance.
    """
    sizes = layout.split("x")
    if len(sizes) != len(AXES) or not all(map(_SIZE.fullmatch, sizes)):
        raise MeshError(
            f'mesh {layout!r} is not "auto" and not three sizes above 0 ({" x ".join(AXES)}), such as "2x4x1". {_FIX}.'
        )
    num_branches, num_sequence, num_heads = (int(size) for size in sizes)
    if num_branches > NUM_BRANCHES:
        raise MeshError(f'mesh "{layout}": guidance has {NUM_BRANCHES} branches. {_FIX} to a cfg of 1 or 2.')
    return num_branches, num_sequence, num_heads


def fold_layout(layout: str, *, num_heads: int, is_guided: bool) -> tuple[int, int, int]:
    """Sizes of the axes for a model: without guidance, which has no branches, those of `cfg` are of `sequence`.

    Args:
        layout: as in `parse_layout`.
        num_heads: of the transformer.
        is_guided: whether there are two branches.
    Raises:
        MeshError: as `parse_layout`, or the layout does not split the heads.
    """
    shape = parse_layout(layout)
    folded = shape if is_guided else (1, shape[0] * shape[1], shape[2])
    num_split = folded[1] * folded[2]
    if num_heads % num_split:
        is_folded = folded != shape
        axes = "cfg, which has no branches without guidance, x sequence x heads" if is_folded else "sequence x heads"
        raise MeshError(
            f'mesh "{layout}": {num_heads} heads do not split over {num_split} devices ({axes}). {_FIX} to sizes '
            f"whose product divides {num_heads}."
        )
    return folded
