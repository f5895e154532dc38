"""How weights are spread over a mesh, from their names and shapes."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from stages.denoise.sharding.layouts import block_layouts, rest_layouts
from stages.denoise.sharding.mesh import AXES
from stages.denoise.torch_bridge import weight_shapes
from stages.errors import MeshError
from tests.denoise.builders import TOY

STORED, REST = ("cfg", "sequence"), ("cfg", "sequence", "heads")


def build_abstract_mesh(*shape: int) -> Mesh:
    """A mesh of one device many times over: layouts look at sizes only."""
    return Mesh(np.array(jax.devices()[:1] * int(np.prod(shape))).reshape(shape), AXES)


def test_what_heads_make_is_split_by_heads_and_the_rest_of_it_is_stored_in_parts():
    shapes = {"attn.to_q.weight": (16, 12), "attn.to_q.bias": (16,)}
    layouts = block_layouts(shapes, build_abstract_mesh(2, 2, 2))
    assert layouts["attn.to_q.weight"].spec == PartitionSpec(("heads",), STORED)
    assert layouts["attn.to_q.weight"].stacked == PartitionSpec(None, ("heads",), STORED)
    assert layouts["attn.to_q.bias"].spec == PartitionSpec(("heads",))


def test_what_reads_heads_is_split_by_heads_and_its_bias_is_added_once():
    shapes = {"ff.net.2.weight": (12, 16), "ff.net.2.bias": (12,)}
    layouts = block_layouts(shapes, build_abstract_mesh(2, 2, 2))
    assert layouts["ff.net.2.weight"].spec == PartitionSpec(STORED, ("heads",))
    assert (layouts["ff.net.2.bias"].spec, layouts["ff.net.2.bias"].is_added_once) == (PartitionSpec(None), True)


def test_modulations_are_made_in_parts_by_all_chips():
    shapes = {"norm1.linear.weight": (48, 8), "norm1.linear.bias": (48,), "norm1_context.linear.weight": (48, 8)}
    layouts = block_layouts(shapes, build_abstract_mesh(2, 2, 2))
    assert layouts["norm1.linear.weight"].spec == PartitionSpec(REST, None)
    assert layouts["norm1.linear.bias"].spec == PartitionSpec(REST)
    assert layouts["norm1_context.linear.weight"].spec == PartitionSpec(REST, None)
    outside = rest_layouts({"norm_out.linear.weight": (16, 8)}, build_abstract_mesh(2, 2, 2))
    assert outside["norm_out.linear.weight"].spec == PartitionSpec(REST, None)


def test_other_matrices_are_stored_in_parts_along_the_first_side_that_divides():
    shapes = {"a.weight": (16, 3), "b.weight": (3, 24), "c.weight": (3, 5), "c.bias": (16,)}
    layouts = rest_layouts(shapes, build_abstract_mesh(2, 2, 2))
    assert [layout.spec for layout in layouts.values()] == [
        PartitionSpec(REST, None),
        PartitionSpec(None, REST),
        PartitionSpec(None, None),
        PartitionSpec(None),
    ]


def test_every_weight_of_the_model_has_as_many_axes_as_its_layout():
    block, rest = weight_shapes(TOY)
    mesh = build_abstract_mesh(2, 1, 2)
    for shapes, layouts in ((block, block_layouts(block, mesh)), (rest, rest_layouts(rest, mesh))):
        assert {name: len(layout.axes) for name, layout in layouts.items()} == {
            name: len(shape) for name, shape in shapes.items()
        }


def test_channels_that_do_not_split_are_an_error():
    with pytest.raises(MeshError) as error:
        block_layouts({"ff.net.0.proj.weight": (15, 8)}, build_abstract_mesh(2, 2, 2))
    assert str(error.value) == (
        'ff.net.0.proj.weight, [15, 8]: 15 channels do not split over 2 devices (logical axis "heads"). Set '
        "machine.mesh in params/machine.toml to a smaller one."
    )
