"""How a layout of a mesh is written."""

import subprocess
import sys

import pytest

from stages.errors import MeshError
from stages.machine.mesh_layout import fold_layout, parse_layout


def test_a_layout_is_the_sizes_of_its_axes():
    assert parse_layout("2x4x1") == (2, 4, 1)


@pytest.mark.parametrize("layout", ["", "auto", "8", "1x1", "1x1x1x1", "0x1x1", "-1x1x1", "1x1xa", "1x1x²", "1 x1x1"])
def test_what_is_not_three_sizes_is_refused(layout: str):
    with pytest.raises(MeshError) as error:
        parse_layout(layout)
    assert str(error.value) == (
        f'mesh {layout!r} is not "auto" and not three sizes above 0 (cfg x sequence x heads), such as "2x4x1". '
        "Set machine.mesh in params/machine.toml."
    )


def test_more_branches_than_guidance_has_are_refused():
    with pytest.raises(MeshError, match="guidance has 2 branches"):
        parse_layout("3x1x1")


def test_it_is_read_without_jax():
    program = "import sys, stages.machine.mesh_layout; print('jax' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )


@pytest.mark.parametrize(("is_guided", "shape"), [(True, (2, 4, 1)), (False, (1, 8, 1))])
def test_without_guidance_the_chips_of_its_branches_take_tokens(is_guided: bool, shape: tuple[int, int, int]):
    assert fold_layout("2x4x1", num_heads=16, is_guided=is_guided) == shape


def test_sizes_that_do_not_split_the_heads_are_refused():
    with pytest.raises(MeshError, match="16 heads do not split over 3 devices"):
        fold_layout("1x3x1", num_heads=16, is_guided=True)
