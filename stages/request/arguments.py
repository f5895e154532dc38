"""Arguments of calls to the models as a library, checked by the rules of the parameters that have the same names.

Owns no rule: the rules are in the stages' declarations, and the wording of a fault is in layers.py.
"""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, create_model

from stages.pipeline.rules import Table
from stages.pipeline.stage import Stage
from stages.request.layers import Faults, located, validate

_WHERE = "arguments"  # the place that a message names, where a parameter's message names its file


def check_arguments(stage: Stage, **arguments: object) -> None:
    """Refuse values that the stage's parameters of these names may not have.

    Args:
        stage: whose parameters they are.
        arguments: any of them, by name.
    Raises:
        ParamsError: lists all values that break their rule, each with the rule.
    """
    faults = Faults(Path())
    for name, value in arguments.items():
        if type(value).__module__ != "builtins":  # of a numpy.int64 the rule says "must be a whole number"
            faults.add(
                f"{_WHERE}, {stage.name}.{name} = {value!r}: must be a plain Python value. Use `.item()` of a NumPy or "
                "JAX number."
            )
    faults.raise_if_any()
    validate(stage.name, located(arguments, _WHERE), _select(stage.parameters, tuple(arguments)), faults)
    faults.raise_if_any()


@cache
def _select(table: type[Table], names: tuple[str, ...]) -> type[BaseModel]:
    """A model that has these parameters of a table and no others, with their rules."""
    fields: dict[str, Any] = {name: (table.model_fields[name].annotation, table.model_fields[name]) for name in names}
    return create_model("Arguments", __config__=table.model_config, **fields)
