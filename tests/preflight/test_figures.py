"""Memory by what it is for."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Sharding, SingleDeviceSharding

from stages.executables import Program
from stages.preflight.figures import figures_of_compiled, figures_of_refused, shorten
from stages.preflight.lowering import Lowered
from stages.preflight.target import Target

GIB = 2**30


def shape(*sizes: int) -> jax.ShapeDtypeStruct:
    sharding: Sharding = SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(sizes, jnp.float32, sharding=sharding)


def build(num_tiles: int = 1) -> Lowered:
    """A step that reads one of two weights and a constant, donates its state, and returns one thing more."""

    def step(weights: dict[str, jax.Array], state: jax.Array, constant: jax.Array) -> tuple[jax.Array, jax.Array]:
        return state + constant.sum(), weights["used"] * 2

    weights = {"unused": shape(1000), "used": shape(100)}
    lowered = jax.jit(step, donate_argnames="state").lower(weights, shape(50), shape(7))
    program = Program("step", lowered, weights=weights, state=shape(50), flops=10)
    return Lowered(program, mesh="1x1x1", num_devices=1, num_tiles=num_tiles)


def target(limit_bytes: int = GIB) -> Target:
    return Target(jax.devices(), limit_bytes)


def test_a_weight_that_the_program_drops_is_in_memory_all_the_same():
    lowered = build()
    assert figures_of_compiled(lowered, target(), lowered.program.compile()).memory.weights == 4 * 1100


def test_state_is_what_is_donated_and_what_else_is_given():
    lowered = build()
    assert figures_of_compiled(lowered, target(), lowered.program.compile()).memory.state == 4 * (50 + 7)


def test_each_tile_has_a_state_and_its_operations():
    lowered = build(num_tiles=3)
    figures = figures_of_compiled(lowered, target(), lowered.program.compile())
    assert (figures.memory.state, figures.flops) == (4 * (150 + 7), 30)


def test_results_are_temporaries_unless_they_take_the_place_of_an_argument():
    lowered = build()
    compiled = lowered.program.compile()
    needed = compiled.memory_analysis()
    temporaries = figures_of_compiled(lowered, target(), compiled).memory.temporaries
    # a tuple of results has a table of two addresses
    assert temporaries - needed.temp_size_in_bytes - needed.generated_code_size_in_bytes == pytest.approx(400, abs=16)


def test_a_program_fits_up_to_the_limit():
    lowered = build()
    compiled = lowered.program.compile()
    memory = figures_of_compiled(lowered, target(), compiled).memory
    total = memory.weights + memory.state + memory.temporaries
    assert figures_of_compiled(lowered, target(total), compiled).fits
    assert not figures_of_compiled(lowered, target(total - 1), compiled).fits


@pytest.mark.parametrize("prefix", ["E1000: CompileTimeHbmOom: ", ""])  # libtpu 0.0.52, 0.0.42
def test_of_a_refused_program_the_compiler_tells_the_sum(prefix: str):
    message = (
        f"RESOURCE_EXHAUSTED: {prefix}Ran out of memory on HBM, the total memory required for HLO temporaries (40.00G) "
        "exceeds available HBM (31.24G). HLO module: jit_step."
    )
    figures = figures_of_refused(build(), target(31 * GIB), message)
    assert figures is not None
    assert not figures.fits
    assert figures.memory.weights + figures.memory.state + figures.memory.temporaries == 40 * GIB


def test_a_program_refused_for_another_reason_has_no_figures():
    assert figures_of_refused(build(), target(), "RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem") is None


def test_a_long_message_of_the_compiler_is_cut():
    assert shorten("a\n b") == "a b"
    assert shorten("x" * 301) == "x" * 300 + "..."
