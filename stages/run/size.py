"""How much a run is to make, in one line before it begins, where it makes videos of sweeps."""

from collections.abc import Collection

from stages.request.graph import Graph
from stages.run.freshness import Due


def describe_size(graph: Graph, due: Due, names: Collection[str], *, is_draft: bool = False) -> str:
    """`24 videos: 2 encodes, 24 denoises, 24 decodes, 24 exports`; "" where no video of a sweep needs a node.

    What would be made counts, and nothing that is there.

    Args:
        graph: of the run.
        due: what it makes.
        names: of the tasks of the run; a node counts for the videos among them, or, if there are none, for all of its.
        is_draft: whether the videos are drafts.
    """
    in_sweeps = {video for videos in graph.sweeps.values() for video in videos}
    needed = {video for node in due.nodes for video in graph.videos_of(node)}
    chosen = {*names} & graph.videos.keys()
    needed = needed & chosen if chosen else needed
    if needed.isdisjoint(in_sweeps):
        return ""
    counts = dict.fromkeys(graph.pipeline.names, 0)
    for node in due.made:
        counts[node.stage] += 1
    parts = [count(number, stage) for stage, number in counts.items() if number]
    parts += [f"{len(due.fetched):,} to fetch"] if due.fetched else []
    return f"{count(len(needed), 'draft' if is_draft else 'video')}: {', '.join(parts)}"


def count(number: int, what: str) -> str:
    """`1 encode`, `2 encodes`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
