"""What differs between what made a video and what would make it here: weights, files, code, keys. A line for each."""

import json
from collections.abc import Callable, Iterator, Mapping

from stages.keys import FROM_FILE, Node
from stages.provenance.record import Made, Record
from stages.request.tables import ModelParams
from stages.request.video_params import VideoParams


def list_weight_differences(record: Record, nodes: Mapping[str, Node], model: ModelParams) -> list[str]:
    """The components of the model that are others here.

    Args:
        record: what made it.
        nodes: what the same parameters are here, by stage.
        model: where the components come from here.
    """
    return [line for made in record.made if made.stage in nodes for line in _weights(made, nodes[made.stage], model)]


def list_file_differences(record: Record, nodes: Mapping[str, Node], video: VideoParams) -> list[str]:
    """The files from elsewhere that are others here."""
    lines = []
    for made in record.made:
        before = made.parameters.get(FROM_FILE)
        now = nodes[made.stage].parameters.get(FROM_FILE) if made.stage in nodes else None
        if before != now and before is not None:
            lines.append(
                f"{made.stage}: {FROM_FILE}: the video was made with {before}, and {video.file_of_stage(made.stage)} "
                f"is {now}"
            )
    return lines


def list_code_differences(record: Record, code_here: Callable[[Made], str | None]) -> list[str]:
    """The stages whose code is another here. Of what does not say by which code it was made, nothing is said."""
    lines = []
    for made in record.made:
        here = code_here(made)
        if made.code is not None and here is not None and here != made.code:
            lines.append(f"{made.stage}: code: the video was made with {made.code}, and the code here is {here}")
    return lines


def list_key_differences(record: Record, nodes: Mapping[str, Node]) -> list[str]:
    """The stages whose key is another here, though all that is named above is the same."""
    lines = []
    for made in record.made:
        now = nodes[made.stage].key if made.stage in nodes else "none: it has no such stage"
        if now != made.key:
            lines.append(f"{made.stage}: key: the video was made as {made.key}, and here it would be {now}")
    return lines


def where_from(component: str, model: ModelParams) -> str:
    """The parameter that says where a component comes from, and its value."""
    place = model.elsewhere.get(component)
    if place is not None:
        return f"model.components.{component} = {json.dumps(place, ensure_ascii=False)}"
    return f"model.checkpoint = {json.dumps(model.checkpoint, ensure_ascii=False)}"


def _weights(made: Made, node: Node, model: ModelParams) -> Iterator[str]:
    for name, before in sorted(made.components.items()):
        now = node.components.get(name)
        if now is None:
            yield f"{made.stage}: {name}: the video was made with {before}, and here the stage reads no {name}"
        elif now != before:
            yield f"{made.stage}: {name}: the video was made with {before}, {where_from(name, model)} is {now}"
    for name in sorted(node.components.keys() - made.components.keys()):
        if FROM_FILE not in made.parameters:
            now = node.components[name]
            yield f"{made.stage}: {name}: the video was made without, {where_from(name, model)} is {now}"
