"""XLA at its quickest, for tests that compile several programs and run each for milliseconds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import jax
import pytest

from stages.machine.executables import Program

# Without LLVM's optimizations, the emitters of fusions leave it many times as much code as those before them did: the
# built-in decoder compiles in 0.3 s, with them in 0.8 s, and in 2.1 s as a run compiles it.
QUICK: Mapping[str, Any] = MappingProxyType({
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
})  # fmt: skip


@contextmanager
def quick_compiler() -> Iterator[None]:
    """Compile in half the time what is compiled without options of its own."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@contextmanager
def quick_programs() -> Iterator[None]:
    """Compile the stages' programs in a quarter of the time, with their own options and those above."""

    def compile_quickly(program: Program) -> jax.stages.Compiled:
        return program.lowered.compile(compiler_options={**QUICK, **program.compiler_options})

    with quick_compiler(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "compile", compile_quickly)
        yield
