"""What is said of parameters that cannot be used."""

from pathlib import Path

from stages.errors import ParamsError
from stages.pipeline.stages import Pipeline
from stages.request.params import load_params


def message(root: Path, **overrides: str) -> str:
    """What is said, of all videos or of the one that has faults."""
    try:
        params = load_params(root, {name.replace("__", "."): text for name, text in overrides.items()}, Pipeline())
    except ParamsError as error:
        return str(error)
    (fault,) = params.faults.values()
    return str(fault)
