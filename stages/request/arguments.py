"""Arguments of calls to the models as a library, checked by the rules of the parameters that have the same names.

Owns no rule: the rules are in params.py, and the wording of a fault is in layers.py.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel, create_model

from stages.errors import ParamsError
from stages.request.layers import Origin, located, validate
from stages.request.params import VideoParams

_WHERE = "arguments"  # the place that a message names, where a parameter's message names its file


def check_arguments(stage: str, **arguments: object) -> None:
    """Refuse values that the stage's parameters of these names may not have.

    Args:
        stage: "encode", "denoise" or "decode".
        arguments: any of the stage's parameters, by name.
    Raises:
        ParamsError: lists all values that break their rule, each with the rule.
    """
    faults = [
        f"{_WHERE}, {stage}.{name} = {value!r}: must be a plain Python value. Use `.item()` of a NumPy or JAX number."
        for name, value in arguments.items()
        if type(value).__module__ != "builtins"  # of a numpy.int64 the rule says "must be a valid integer"
    ]
    if not faults:
        values = {stage: located(arguments, _WHERE)}
        validate(values, _select(stage, tuple(arguments)), Origin(_WHERE, "", frozenset()), faults)
    if faults:
        raise ParamsError("\n  ".join(faults))


@cache
def _select(stage: str, names: tuple[str, ...]) -> type[BaseModel]:
    """A model of one table that has these parameters of the stage and no others, with their rules."""
    table: Any = VideoParams.model_fields[stage].annotation
    fields: dict[str, Any] = {name: (table.model_fields[name].annotation, table.model_fields[name]) for name in names}
    selected = create_model("Arguments", __config__=table.model_config, **fields)
    whole: dict[str, Any] = {stage: (selected, ...)}
    return create_model("Call", **whole)
