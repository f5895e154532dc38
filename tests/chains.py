"""Videos as the checks before a run see them, and checkpoints to be edited."""

import json
from collections.abc import Mapping
from pathlib import Path

from stages.keys import JsonValue, Node
from stages.models.checkpoint import Checkpoint
from stages.run.checks import Chain, find_faults
from tests.builders import PIPELINE
from tests.project import ALL

MACHINE: Mapping[str, JsonValue] = {"platform": "cpu", "mesh": "auto"}


def edit_settings(file: Path, **values: object) -> None:
    """Give settings other values."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def build_chain(folder: Path, machine: Mapping[str, JsonValue] = MACHINE, **elsewhere: Path) -> Chain:
    """All nodes of a video of defaults; nobody looks at their keys. Components can be from elsewhere, by name."""
    nodes = {}
    for name in ALL:
        stage = PIPELINE[name]
        parameters = stage.parameters.model_construct(prompt="A circle.").key_parameters()
        nodes[name] = Node(name, parameters, {each.name: "0" for each in stage.components}, {})
    places = {name: Checkpoint(place) for name, place in elsewhere.items()}
    return Chain(nodes, Checkpoint(folder, elsewhere=places), machine)


def faults_of(folder: Path, first: str = "encode", **elsewhere: Path) -> list[str]:
    """What keeps the nodes from `first` on from being made of a checkpoint."""
    return find_faults(build_chain(folder, **elsewhere), PIPELINE, first)
