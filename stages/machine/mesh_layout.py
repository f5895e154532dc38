"""How a mesh is written down: sizes of its axes, such as "2x4x1". Loads no JAX: it is checked before anything runs.

What the axes mean, and which chips stand where, is stages/denoise's to know.
"""

from typing import Final

from stages.errors import MeshError

AXES: Final = ("cfg", "sequence", "heads")  # guidance branches; video and text tokens; attention heads
NUM_BRANCHES: Final = 2  # of guidance: cond and uncond
AUTO: Final = "auto"
_FIX = "Set machine.mesh in params/machine.toml"


def parse_layout(layout: str) -> tuple[int, int, int]:
    """Sizes of the axes AXES.

    Raises:
        MeshError: the layout is not three sizes, or has more branches than guidance.
    """
    sizes = layout.split("x")
    if len(sizes) != len(AXES) or not all(size.isascii() and size.isdigit() and int(size) > 0 for size in sizes):
        raise MeshError(
            f'mesh {layout!r} is not "auto" and not three sizes above 0 ({" x ".join(AXES)}), such as "2x4x1". {_FIX}.'
        )
    num_branches, num_sequence, num_heads = (int(size) for size in sizes)
    if num_branches > NUM_BRANCHES:
        raise MeshError(f'mesh "{layout}": guidance has {NUM_BRANCHES} branches. {_FIX} to a cfg of 1 or 2.')
    return num_branches, num_sequence, num_heads
