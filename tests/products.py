"""What the matrix products of a traced program ask for."""

from jax.extend.core import Jaxpr, subjaxprs

_PRODUCTS = ("dot_general", "conv_general_dilated")


def list_precisions(jaxpr: Jaxpr) -> list[object]:
    """`precision` of each product of a program, and of the programs in it."""
    own = [equation.params["precision"] for equation in jaxpr.eqns if equation.primitive.name in _PRODUCTS]
    return own + [found for inner in subjaxprs(jaxpr) for found in list_precisions(inner)]
