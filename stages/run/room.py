"""Whether a store can take what a run will make or fetch: folders that can be written, and a disk with room.

Asked before the first node. The folders are tried in stages/store/folders.py, the disk is asked in disk_space.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from stages.errors import StoreError
from stages.keys import ArtifactId, JsonValue, Node
from stages.request.graph import Graph
from stages.request.tables import RAY
from stages.run.checks import Chain, Reader, payload_bytes
from stages.run.disk_space import Need, find_shortages
from stages.store.folders import find_folder_faults
from stages.store.interface import ArtifactStore


def require_room(
    graph: Graph,
    machine: Mapping[str, JsonValue],
    store: ArtifactStore,
    nodes: Sequence[tuple[Node, str]],
    reader: Reader,
    *,
    links: Path | None = None,
    fetched: Mapping[ArtifactId, int],
) -> None:
    """Find out whether a store can take what will be made and fetched.

    Args:
        graph: of the run.
        machine: the machine's settings.
        store: which is to take it.
        nodes: that are due, in their order, each with a video that it is for and that can be made.
        reader: reads what their videos have in common.
        links: the folder of links to videos, if some will be made.
        fetched: of those of the nodes that are fetched, the bytes that will come; they need no model.
    Raises:
        StoreError: it cannot; all that is wrong, a line each.
    """
    replaced = (folder for node, _ in nodes if _is_there(folder := store.folder(node.artifact)))
    faults = find_folder_faults(store.root, (node.stage for node, _ in nodes), replaced=replaced, links=links)
    if nodes and not faults:
        faults = _find_shortages(graph, machine, store, nodes, reader, fetched=fetched)
    if faults:
        raise StoreError("\n  ".join(faults))


def _find_shortages(
    graph: Graph,
    machine: Mapping[str, JsonValue],
    store: ArtifactStore,
    nodes: Iterable[tuple[Node, str]],
    reader: Reader,
    *,
    fetched: Mapping[ArtifactId, int],
) -> list[str]:
    needs = []
    downloads: dict[Path, int] = {}
    has_fleet = machine["runner"] == RAY  # whose hosts fetch models for themselves
    stays_there = has_fleet and machine["remote"] and machine["remote_fetch"] != "all"  # but for the last stage's
    for node, video in nodes:
        stage = graph.pipeline[node.stage]
        size_bytes = fetched.get(node.artifact)
        if size_bytes is None and stays_there and stage != graph.pipeline.last:
            continue
        if size_bytes is None:
            chain = Chain(graph.videos[video], graph.checkpoints[video], machine, reader)
            size_bytes = payload_bytes(chain, graph.pipeline, node)
            if not has_fleet:
                downloads |= reader.missing_bytes(chain.checkpoint, stage.components if node.components else ())
        needs.append(Need(node.stage, size_bytes, _size(store.folder(node.artifact) / stage.makes.payload)))
    return find_shortages(store.root, needs, downloads=downloads)


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None
