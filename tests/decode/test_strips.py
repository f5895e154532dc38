"""A frame in strips of columns: what eight devices make of it, and which of them hold a part."""

import json
from collections.abc import Mapping

import jax
import numpy as np
import pytest

from stages.decode.strips import count_used, plan_strips
from tests.decode.builders import SMALL, write_vae
from tests.decode.eight_devices import CHUNKS, WIDTHS
from tests.devices import EIGHT_DEVICES, run_python

pytestmark = pytest.mark.compiles

TOLERANCE = 1e-5  # float32; frames are of order 1


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, np.ndarray], list[dict[str, int]]]:
    """Frames by one and by eight devices, and what they hold."""
    folder = tmp_path_factory.mktemp("eight")
    vae, out = write_vae(folder / "vae", **SMALL), folder / "out.npz"
    printed = run_python("-m", "tests.decode.eight_devices", vae, out, settings=EIGHT_DEVICES)
    return np.load(out), [json.loads(line) for line in printed.splitlines()]


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("width", WIDTHS)
def test_eight_devices_decode_what_one_does(results, width: int, chunks: tuple[int, ...]):
    frames, _ = results
    one, eight = frames[f"1 {width} {chunks}"], frames[f"8 {width} {chunks}"]
    assert one.shape == (9, 8, 4 * width, 3)
    assert np.abs(one).max() > 1
    np.testing.assert_allclose(eight, one, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_bits_do_not_depend_on_the_chunk_with_eight_devices_either(results, width: int):
    frames, _ = results
    whole, *others = (frames[f"8 {width} {chunks}"] for chunks in CHUNKS)
    assert all(np.array_equal(whole, other) for other in others)


def test_eight_devices_decode_tiles_as_one_does(results):
    frames, _ = results
    np.testing.assert_allclose(frames["8 tiles"], frames["1 tiles"], rtol=0, atol=TOLERANCE)


def test_each_of_eight_devices_holds_an_eighth_of_the_state(results):
    _, held = results
    assert [line["held"] * 8 for line in held if line["devices"] == 8] == [
        line["whole"] for line in held if line["devices"] == 8
    ]


def test_one_device_decodes_without_strips():
    assert plan_strips(80, jax.devices()[:1]) is None


@pytest.mark.parametrize(
    ("num_columns", "num_devices", "num_used"), [(80, 8, 8), (53, 8, 8), (6, 8, 6), (9, 8, 5), (45, 4, 4), (1, 4, 1)]
)
def test_the_devices_that_hold_columns_are_counted(num_columns: int, num_devices: int, num_used: int):
    assert count_used(num_columns, jax.devices()[:1] * num_devices) == num_used
