"""Finds the videos that the present parameters ask for and that are not made yet, and how far each is."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from stages.keys import ArtifactId, JsonValue, Node
from stages.report.shown import UnmadeVideo
from stages.run.build import Build
from stages.store.inventory import Inventory
from stages.store.partial import PartialStates
from stages.store.previews import ANIMATION, preview_folder
from stages.store.records import recorded_from


def find_unmade(build: Build, inventory: Inventory, made: Mapping[str, ArtifactId]) -> Iterator[UnmadeVideo]:
    """Those whose names lead to nothing, or to what earlier parameters asked for.

    Args:
        build: whose graph says what is asked for.
        inventory: of its store.
        made: what the names of videos lead to.
    """
    build.leases.sweep()  # those of runs that were killed
    sweeps = {name: sweep for sweep, members in build.graph.sweeps.items() for name in members}
    for name in (*build.graph.videos, *build.graph.faults):
        chain = build.graph.videos.get(name, {})
        nodes = [chain[stage] for stage in build.pipeline.names if stage in chain]
        if nodes and made.get(name) == nodes[-1].artifact:
            continue
        sweep = sweeps.get(name, "")
        state, is_running = _find_state(build, inventory, nodes)
        yield UnmadeVideo(
            name=name,
            prompt=build.graph.prompt_of(name) if nodes else "",
            parameters=_flatten(build, nodes),
            sweep=sweep,
            differences=build.graph.sweeps[sweep][name] if sweep else {},
            state=state,
            is_running=is_running,
            preview=find_preview(build.store.root, (node.artifact for node in nodes)),
        )


def find_preview(root: Path, chain: Iterable[ArtifactId]) -> Path | None:
    """The animation of what one of these artifacts is or was about to become; None where there is none."""
    files = (preview_folder(root, artifact) / ANIMATION for artifact in chain)
    return next((file for file in files if file.is_file()), None)


def _find_state(build: Build, inventory: Inventory, nodes: list[Node]) -> tuple[str, bool]:
    """How far a video is, in words, and whether somebody is at work on it."""
    if not nodes:
        return "cannot be made", False
    if inventory.is_there(nodes[-1].artifact):
        return "made, not linked", False
    for node in nodes:
        if not inventory.is_there(node.artifact) and build.leases.find_holder(node.artifact) is not None:
            return f"{node.stage} runs now", True
    if nodes[-1].artifact in inventory.entries:  # what is left of it, or known of it
        is_remote = recorded_from(build.store.folder(nodes[-1].artifact))
        return "on the remote store" if is_remote else "deleted by gc", False
    last = max((place for place, node in enumerate(nodes) if inventory.is_there(node.artifact)), default=-1)
    due = nodes[last + 1]
    if PartialStates(build.store.root).find(due.artifact) is not None:
        return f"{due.stage} was interrupted", False
    return ("not made yet" if due == nodes[0] else f"{due.stage} is next"), False


def _flatten(build: Build, nodes: list[Node]) -> dict[str, JsonValue]:
    """All parameters, as a ShownVideo has them."""
    values: dict[str, JsonValue] = {}
    components: dict[str, JsonValue] = {}
    for node in nodes:
        complete = build.pipeline[node.stage].complete(node.parameters)
        values |= {f"{node.stage}.{name}": value for name, value in complete.items()}
        components |= {f"model.{name}": identity for name, identity in node.components.items()}
    return {**values, **components}
