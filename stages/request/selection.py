"""Which nodes are meant by names that people type: of nodes, stages, videos, and patterns of them."""

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence

from stages.errors import ParamsError
from stages.keys import Node
from stages.request.graph import Graph
from stages.request.names import near


def select_nodes(graph: Graph, names: Sequence[str]) -> list[Node]:
    """The nodes of all stages and videos that are named, in the order in which they are made.

    Args:
        graph: of the present parameters.
        names: a video stands for all nodes that it is made of, a sweep for its videos; `*` for any characters; none
            means all nodes.
    Raises:
        ParamsError: a name is nobody's.
        StagesError: it is that of a video that cannot be made.
    """
    if not names:
        return [*graph.all_nodes()]
    titles = {node.title: node for node in graph.all_nodes()}
    wanted = {node.artifact for name in names for node in _find(graph, titles, name)}
    return [node for node in graph.all_nodes() if node.artifact in wanted]


def match_names(names: Iterable[str]) -> Callable[[Node], bool]:
    """What says whether a node itself is among names that were typed, by its title, its stage or a pattern.

    A video's nodes are not, where the video is named: those it is made from are nothing that was asked for.
    """
    exact = frozenset(names)  # there can be thousands
    patterns = [name for name in exact if "*" in name]

    def is_named(node: Node) -> bool:
        return not exact.isdisjoint((node.stage, node.title)) or any(
            fnmatch.fnmatchcase(node.title, pattern) for pattern in patterns
        )

    return is_named


def _find(graph: Graph, titles: Mapping[str, Node], name: str) -> Iterable[Node]:
    if "*" in name:
        known = {each for each in _all_names(graph, titles) if fnmatch.fnmatchcase(each, name)}
        if not known:
            raise ParamsError(f"{name}: matches no task. `doit list --all` names all there are.")
        return [node for each in sorted(known - graph.faults.keys()) for node in _find(graph, titles, each)]
    for video in graph.sweeps.get(name, (name,)):
        if video in graph.faults:
            raise graph.faults[video]
    if name in graph.sweeps:
        return [node for video in graph.sweeps[name] for node in graph.videos[video].values()]
    if name in graph.videos:
        return graph.videos[name].values()
    if name in graph.pipeline.names:
        return graph.nodes(name).values()
    if name in titles:
        return [titles[name]]
    raise ParamsError(f"{name}: no such task.{near(name, _all_names(graph, titles))} `doit list --all` names all.")


def _all_names(graph: Graph, titles: Iterable[str]) -> list[str]:
    return [*graph.pipeline.names, *graph.videos, *graph.sweeps, *graph.faults, *titles]
