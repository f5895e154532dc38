"""How tests compile: most run each program for milliseconds, and XLA takes seconds to make it fast.

conftest.py has XLA leave most optimizations out, here and in all processes of tests. This module has what is quicker
still, for programs of the stages, and the way back to what a run does, for claims about it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import jax
import pytest

from stages.machine.executables import Executable, Executables, Program

# Without LLVM's optimizations, the emitters of fusions leave it many times as much code as those before them did: the
# built-in decoder compiles in 0.3 s, with them in 0.8 s, and in 2.1 s as a run compiles it.
QUICK: Mapping[str, Any] = MappingProxyType({
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
})  # fmt: skip


@contextmanager
def as_in_a_run() -> Iterator[None]:
    """Compile in the block with all of XLA's optimizations what is compiled in this process."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def compile_quickly(program: Program) -> jax.stages.Compiled:
    """A program of a stage, with the options above and its own."""
    return program.lowered.compile(compiler_options={**QUICK, **program.compiler_options})


@contextmanager
def quick_programs() -> Iterator[list[str]]:
    """Compile programs of the stages so in the block; the names of those that stores were asked for, in order."""
    names: list[str] = []
    ask_store = Executables.compile

    def compile_and_note(self: Executables, program: Program) -> Executable:
        names.append(program.name)
        return ask_store(self, program)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "compile", compile_quickly)
        patch.setattr(Executables, "compile", compile_and_note)
        yield names
