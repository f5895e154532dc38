"""The number of floating-point operations in the matrix products and convolutions of a traced program.

They are counted in JAX's own form of the program, where the length of each scan is known; compilers count the body of a
loop once and a kernel not at all.
"""

import math
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

_MULTIPLY_ADD = 2


def count_flops(jaxpr: Jaxpr, *, num_iterations: int = 1) -> int:
    """Operations of all devices together.

    Args:
        jaxpr: of a traced program (`jax.stages.Traced.jaxpr.jaxpr`).
        num_iterations: of each `while` loop: their length depends on an argument, and no trace knows it.
    Returns:
        Multiplications and additions of `dot_general` and `conv_general_dilated`, those of Pallas kernels included. A
        kernel counts as it says itself (`pallas_call(cost_estimate=...)`), or its body once per step of its grid; of
        the branches of a condition the longest counts.
    """
    return sum(_count(equation, num_iterations) for equation in jaxpr.eqns)


def _count(equation: JaxprEqn, num_iterations: int) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name in ("dot_general", "conv_general_dilated"):
        arrays: list[Any] = [variable.aval for variable in (*equation.invars, *equation.outvars)]
        left, right, result = arrays
        if name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            return int(_MULTIPLY_ADD * result.size * math.prod(left.shape[axis] for axis in contracted))
        num_channels = right.shape[parameters["dimension_numbers"].rhs_spec[0]]
        return int(_MULTIPLY_ADD * result.size * right.size // num_channels)
    if name == "pallas_call" and parameters["cost_estimate"] is not None:
        return int(parameters["cost_estimate"].flops)
    inner = [count_flops(each, num_iterations=num_iterations) for each in _subjaxprs(equation)]
    if name == "cond":
        return max(inner)
    return _num_runs(equation, num_iterations) * sum(inner)


def _num_runs(equation: JaxprEqn, num_iterations: int) -> int:
    """How often the body of an equation runs, on all devices together."""
    parameters = equation.params
    match equation.primitive.name:
        case "scan":
            return int(parameters["length"])
        case "while":
            return num_iterations
        case "shard_map":
            return int(parameters["mesh"].size)
        case "pallas_call":
            return math.prod(parameters["grid_mapping"].grid)
    return 1


def _subjaxprs(equation: JaxprEqn) -> list[Jaxpr]:
    """The programs inside an equation: bodies of loops, branches, kernels."""
    values = [
        value
        for parameter in equation.params.values()
        for value in (parameter if isinstance(parameter, tuple) else (parameter,))
    ]
    closed = [value.jaxpr if isinstance(value, ClosedJaxpr) else value for value in values]
    return [value for value in closed if isinstance(value, Jaxpr)]
