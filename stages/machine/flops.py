"""How many floating-point operations a traced program does in its matrix products and convolutions.

Counted in JAX's own form of the program, where the number of turns of each loop is known; compilers count a loop once
and a kernel not at all.
"""

import math
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

_MULTIPLY_ADD = 2


def count_flops(jaxpr: Jaxpr, *, num_turns: int = 1) -> int:
    """Operations of all devices together.

    Args:
        jaxpr: of a traced program (`jax.stages.Traced.jaxpr.jaxpr`).
        num_turns: of each loop whose end depends on an argument.
    Returns:
        Multiplications and additions of `dot_general` and `conv_general_dilated`, those of Pallas kernels included. A
        kernel is taken to run on every step of its grid; of the branches of a condition the longest counts.
    """
    return sum(_count(equation, num_turns) for equation in jaxpr.eqns)


def _count(equation: JaxprEqn, num_turns: int) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name in ("dot_general", "conv_general_dilated"):
        arrays: list[Any] = [variable.aval for variable in (*equation.invars, *equation.outvars)]
        left, right, result = arrays
        if name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            return int(_MULTIPLY_ADD * result.size * math.prod(left.shape[axis] for axis in contracted))
        num_channels = right.shape[parameters["dimension_numbers"].rhs_spec[0]]
        return int(_MULTIPLY_ADD * result.size * right.size // num_channels)
    inner = [count_flops(each, num_turns=num_turns) for each in _subjaxprs(equation)]
    if name == "cond":
        return max(inner)
    return _num_runs(equation, num_turns) * sum(inner)


def _num_runs(equation: JaxprEqn, num_turns: int) -> int:
    """How often what is inside an equation runs, on all devices together."""
    parameters = equation.params
    match equation.primitive.name:
        case "scan":
            return int(parameters["length"])
        case "while":
            return num_turns
        case "shard_map":
            return int(parameters["mesh"].size)
        case "pallas_call":
            return math.prod(parameters["grid_mapping"].grid)
    return 1


def _subjaxprs(equation: JaxprEqn) -> list[Jaxpr]:
    """The programs within an equation: bodies of loops, branches, kernels."""
    values = [
        value
        for parameter in equation.params.values()
        for value in (parameter if isinstance(parameter, tuple) else (parameter,))
    ]
    closed = [value.jaxpr if isinstance(value, ClosedJaxpr) else value for value in values]
    return [value for value in closed if isinstance(value, Jaxpr)]
