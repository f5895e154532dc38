"""Compiled programs: what a stage gives to be compiled."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import jax

Shapes: TypeAlias = Any  # a tree of jax.ShapeDtypeStruct, each with its sharding


@dataclass(frozen=True)
class Program:
    """A jitted function for given devices, lowered but not compiled, and what its arguments are for.

    Attributes:
        name: "denoise step", "decode chunk": shown to people.
        lowered: what is to be compiled.
        weights: arguments that stay from call to call.
        state: arguments that are donated.
    """

    name: str
    lowered: jax.stages.Lowered
    weights: Shapes
    state: Shapes
