"""Meshes of eight virtual CPU devices give what one device gives, and each device holds its share of the weights."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from stages.denoise.sharding.collectives import num_places
from stages.denoise.sharding.mesh import AXES
from tests.denoise.builders import MESH

pytestmark = pytest.mark.compiles

TOLERANCE = 1e-5  # float32, two steps, sums in another order; measured: 1e-6
LAYOUTS = ["1x1x8", "2x1x4", "2x2x2", "1x8x1", "1x4x2", "2x4x1"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_mesh_gives_what_one_device_gives(eight, layout: str):
    latents, _ = eight
    np.testing.assert_allclose(latents[layout], latents["1x1x1"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["unguided", "window"])
def test_a_mesh_gives_what_one_device_gives_without_guidance_and_with_a_window(eight, kind: str):
    latents, _ = eight
    np.testing.assert_allclose(latents[f"2x2x2 {kind}"], latents[f"1x1x1 {kind}"], rtol=0, atol=TOLERANCE)
    assert np.abs(latents[f"1x1x1 {kind}"] - latents["1x1x1"]).max() > 100 * TOLERANCE


def test_the_default_uses_all_devices_and_gives_the_same(eight):
    latents, facts = eight
    assert [fact["mesh"] for fact in facts if fact["layout"] == "auto"] == [[2, 4, 1]]
    assert np.array_equal(latents["auto"], latents["2x4x1"])


def test_each_of_eight_devices_holds_an_eighth_of_the_matrices(eight):
    _, facts = eight
    shares = {fact["layout"]: fact["held"] / fact["whole"] for fact in facts}
    assert shares["1x1x1"] == 1
    # Vectors are whole on each device, and so are matrices with no side that divides: a hundredth of this toy.
    assert all(1 / 8 < shares[layout] < 1 / 8 + 0.02 for layout in LAYOUTS)


def test_one_device_has_no_more_places_than_tokens():
    assert num_places(30, mesh=MESH) == 30


@pytest.mark.parametrize(("num_tokens", "places"), [(1, 64), (30, 64), (64, 64), (65, 128)])
def test_each_of_four_chips_has_a_multiple_of_sixteen_places(num_tokens: int, places: int):
    four = Mesh(np.array(jax.devices()[:1] * 8).reshape(2, 4, 1), AXES)
    assert num_places(num_tokens, mesh=four) == places
