"""Memory by what it is for."""

import json

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Sharding, SingleDeviceSharding

from stages.machine.executables import Program
from stages.models.wording import quote
from stages.preflight.figures import figures_of_compiled, figures_of_refused
from stages.preflight.lowering import Lowered, Work
from stages.preflight.target import Target
from tests.devices import EIGHT_DEVICES, run_python

pytestmark = pytest.mark.compiles

GIB = 2**30


def shape(*sizes: int) -> jax.ShapeDtypeStruct:
    sharding: Sharding = SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(sizes, jnp.float32, sharding=sharding)


def build(num_tiles: int = 1, growing_bytes: int | None = None) -> Lowered:
    """A step that reads one of two weights and a constant, donates its state, and returns one thing more."""

    def step(weights: dict[str, jax.Array], state: jax.Array, constant: jax.Array) -> tuple[jax.Array, jax.Array]:
        return state + constant.sum(), weights["used"] * 2

    weights = {"unused": shape(1000), "used": shape(100)}
    lowered = jax.jit(step, donate_argnames="state").lower(weights, shape(50), shape(7))
    return Lowered(
        Program("step", lowered, weights=weights, state=shape(50), flops=10),
        mesh="1x1x1",
        num_devices=1,
        num_tiles=num_tiles,
        state_bytes=num_tiles * 200,
        growing_bytes=growing_bytes,
        flops=30,
        first=Work(20, 4400),
        later=Work(30, 4600),
    )


def target(limit_bytes: int = GIB) -> Target:
    return Target(jax.devices(), limit_bytes)


def refusal(needed: str, available: str, prefix: str = "") -> str:
    return (
        f"RESOURCE_EXHAUSTED: {prefix}Ran out of memory on HBM, the total memory required for HLO temporaries "
        f"({needed}) exceeds available HBM ({available})."
    )


def test_a_weight_that_the_program_drops_is_in_memory_all_the_same_and_is_not_read():
    lowered = build()
    figures = figures_of_compiled(lowered, target(), lowered.program.compile())
    assert figures.memory.weights == 4 * 1100
    assert (figures.first, figures.later) == (Work(20, 400), Work(30, 600))


def test_state_is_what_is_donated_and_what_else_is_given():
    lowered = build()
    assert figures_of_compiled(lowered, target(), lowered.program.compile()).memory.state == 4 * (50 + 7)


def test_each_tile_has_a_state():
    lowered = build(num_tiles=3)
    assert figures_of_compiled(lowered, target(), lowered.program.compile()).memory.state == 4 * (150 + 7)


def test_results_are_temporaries_unless_they_take_the_place_of_an_argument():
    lowered = build()
    compiled = lowered.program.compile()
    needed = compiled.memory_analysis()
    temporaries = figures_of_compiled(lowered, target(), compiled).memory.temporaries
    assert temporaries is not None
    # a tuple of results has a table of two addresses
    assert temporaries - needed.temp_size_in_bytes - needed.generated_code_size_in_bytes == pytest.approx(400, abs=16)


def test_all_but_the_weights_grows_with_the_video_unless_the_stage_knows_better():
    lowered = build()
    compiled = lowered.program.compile()
    memory = figures_of_compiled(lowered, target(), compiled).memory
    assert memory.temporaries is not None
    assert figures_of_compiled(lowered, target(), compiled).growing_bytes == memory.state + memory.temporaries
    assert figures_of_compiled(build(growing_bytes=40), target(), compiled).growing_bytes == 40


def test_a_program_fits_up_to_the_limit():
    lowered = build()
    compiled = lowered.program.compile()
    memory = figures_of_compiled(lowered, target(), compiled).memory
    assert memory.temporaries is not None
    total = memory.weights + memory.state + memory.temporaries
    assert figures_of_compiled(lowered, target(total), compiled).fits
    assert not figures_of_compiled(lowered, target(total - 1), compiled).fits


@pytest.mark.parametrize("prefix", ["E1000: CompileTimeHbmOom: ", ""])  # libtpu 0.0.52, 0.0.42
def test_of_a_refused_program_the_compiler_gives_the_sum_and_the_limit(prefix: str):
    message = refusal("40.00G", "31.24G", prefix)
    figures = figures_of_refused(build(), target(31 * GIB), message)
    assert figures.memory.temporaries is not None
    assert figures.memory.weights + figures.memory.state + figures.memory.temporaries == 40 * GIB
    assert (figures.limit_bytes, figures.refusal) == (int(31.24 * GIB), message)


def test_what_the_compiler_refuses_does_not_fit_though_its_rounded_figures_are_equal():
    assert not figures_of_refused(build(), target(16 * GIB), refusal("15.75G", "15.75G")).fits


def test_of_a_program_refused_for_another_reason_the_reason_is_reported_and_no_sum():
    message = "RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem"
    figures = figures_of_refused(build(), target(), message)
    assert (figures.fits, figures.refusal) == (False, message)
    assert (figures.memory.temporaries, figures.growing_bytes, figures.limit_bytes) == (None, None, GIB)


def test_a_long_message_of_the_compiler_is_cut():
    assert quote("a\n b") == "a b"
    assert quote("x" * 301) == "x" * 300 + "..."


# Of a chunk over eight devices, in two tiles of 7 columns and one of 6.
SHARDED = """
import json, math
from stages.run.lean_imports import import_program
import_program("stages.preflight")
from dataclasses import asdict
import jax
from tests.preflight_builders import SETTINGS
from stages.preflight.figures import figures_of_compiled
from stages.preflight.hlo import count_collectives
from stages.preflight.lowering import lower
from stages.preflight.target import Target

size = lambda tree: sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
parameters = {
    "stage": "decode", "config": SETTINGS["vae"], "num_frames": 9, "height": 2, "width": 20, "dtype": "float32",
    "enable_tiling": True, "tile_size": 7 * 16, "tile_overlap": 0.0,
}
lowered = lower(parameters, jax.devices())
compiled = lowered.program.compile()
figures = figures_of_compiled(lowered, Target(jax.devices(), 2**30), compiled)
state = lowered.program.state
whole = {"weights": size(lowered.program.weights), "state": size(state), "cache": size(state.mid_attention)}
own = {each.kind: [each.count, each.size_bytes] for each in count_collectives(compiled.as_text())}
print(json.dumps({**asdict(figures), "whole": whole, "own": own}))
"""


@pytest.fixture(scope="module")
def sharded() -> dict:
    found: dict = json.loads(run_python("-c", SHARDED, settings=EIGHT_DEVICES))
    return found


def test_of_a_device_the_weights_are_whole_and_of_the_state_an_eighth(sharded: dict):
    whole = sharded["whole"]
    latents_and_position = 4 * (2 * 7 * 32 + 1)  # of the largest tile, on each device
    assert sharded["memory"]["weights"] == whole["weights"]
    # every tile has a strip of one column on each device, also the one of 6 columns
    assert sharded["memory"]["state"] == 3 * whole["state"] // 8 + latents_and_position
    assert sharded["growing_bytes"] == 3 * whole["cache"] // 8
    assert sharded["later"]["read_bytes"] == whole["weights"] + 3 * (whole["state"] - whole["cache"]) // 8


def test_of_a_device_the_operations_are_an_eighth(sharded: dict):
    assert sharded["later"]["flops"] == sharded["flops"] // 8
    assert 0 < sharded["first"]["flops"] < sharded["later"]["flops"]


def test_devices_count_that_hold_columns(sharded: dict):
    assert sharded["num_devices"] == 7


def test_what_is_sent_is_that_of_the_largest_tile_for_each_tile(sharded: dict):
    assert sharded["own"]
    assert {each["kind"]: [each["count"], each["size_bytes"]] for each in sharded["collectives"]} == {
        kind: [3 * count, 3 * size_bytes] for kind, (count, size_bytes) in sharded["own"].items()
    }
