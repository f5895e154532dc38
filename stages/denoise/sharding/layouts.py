"""How each weight of the DiT is spread over the chips.

Owns the table from names of diffusers' module to logical axes. Every matrix is in parts: its heads or hidden channels
over the axis `heads`, the rest of it over the other chips, which put it together while a block runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jax.sharding import Mesh, PartitionSpec

from stages.denoise.sharding.mesh import num_parts, spec
from stages.errors import MeshError

# Linear layers of a block whose heads or hidden channels are split over `heads` (Shoeybi et al. 2019, arXiv:1909.08053,
# section 3). Our matrices are [out, in], theirs [in, out]: a column of theirs is a row here.
_COLUMN_PARALLEL = (  # each chip makes its own
    "attn.to_q", "attn.to_k", "attn.to_v", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj",
    "ff.net.0.proj", "ff_context.net.0.proj",
)  # fmt: skip
# Each reads its own: sums are partial.
ROW_PARALLEL = ("attn.to_out.0", "attn.to_add_out", "ff.net.2", "ff_context.net.2")
# Each chip makes a part of the numbers that depend only on the timestep: a third of all weights, used on one row.
MODULATIONS = ("norm1.linear", "norm1_context.linear")
OUTPUT_MODULATION = "norm_out.linear"

_MIN_SPLIT = 2  # dimensions; biases and gains are small, and whole on each chip


@dataclass(frozen=True)
class Layout:
    """Logical axes of a weight; `is_added_once`: a bias of a layer whose sums are partial."""

    axes: tuple[str, ...]
    is_added_once: bool = False

    @property
    def spec(self) -> PartitionSpec:
        """Mesh axes of the weight."""
        return spec(*self.axes)

    @property
    def stacked(self) -> PartitionSpec:
        """Mesh axes of the weights of all blocks in one array."""
        return spec("layers", *self.axes)


def block_layouts(shapes: Mapping[str, tuple[int, ...]], mesh: Mesh) -> dict[str, Layout]:
    """Layouts of a block's weights, whose shapes are given by their names within it.

    Raises:
        MeshError: hidden channels do not split over the chips of `heads`.
    """
    layouts = {name: _block_layout(name, shape, mesh) for name, shape in shapes.items()}
    for name, layout in layouts.items():
        for size, axis in zip(shapes[name], layout.axes, strict=True):
            if size % num_parts(mesh, axis):
                raise MeshError(
                    f"{name}, {list(shapes[name])}: {size} channels do not split over {num_parts(mesh, axis)} devices "
                    f'(logical axis "{axis}"). Set machine.mesh in params/machine.toml to a smaller one.'
                )
    return layouts


def rest_layouts(shapes: Mapping[str, tuple[int, ...]], mesh: Mesh) -> dict[str, Layout]:
    """Layouts of the weights outside the blocks, whose shapes are given by their full names."""
    return {
        name: _modulation(shape) if name.startswith(OUTPUT_MODULATION) else _stored(shape, "rest", mesh)
        for name, shape in shapes.items()
    }


def _block_layout(name: str, shape: tuple[int, ...], mesh: Mesh) -> Layout:
    layer, _, kind = name.rpartition(".")
    if layer in MODULATIONS:
        return _modulation(shape)
    if layer in _COLUMN_PARALLEL:
        return Layout(("heads", *_stored(shape[1:], "stored", mesh, least=1).axes))
    if layer in ROW_PARALLEL:
        if kind == "bias":
            return Layout(("whole",), is_added_once=True)
        return Layout((*_stored(shape[:1], "stored", mesh, least=1).axes, "heads"))
    return Layout(("whole",) * len(shape))


def _modulation(shape: tuple[int, ...]) -> Layout:
    """Rows over all chips, of the bias too. There are 2 or 6 for each channel, which any mesh of the heads divides."""
    return Layout(("modulations", *["whole"] * (len(shape) - 1)))


def _stored(shape: tuple[int, ...], logical_axis: str, mesh: Mesh, *, least: int = _MIN_SPLIT) -> Layout:
    """The first axis that can be split is; none of an array of fewer than `least` axes."""
    axes = ["whole"] * len(shape)
    if len(shape) >= least:
        for axis, size in enumerate(shape):
            if size % num_parts(mesh, logical_axis) == 0:
                axes[axis] = logical_axis
                break
    return Layout(tuple(axes))
