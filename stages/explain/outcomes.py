"""What becomes of the nodes of a run that has not begun: they run, wait, are fetched, stay remote, or are fresh.

A node waits when something that it reads is made again: if that has other bytes then, it runs, and else it stays.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeAlias

from stages.keys import ArtifactId, Node
from stages.store.verdict import Verdict

Outcome: TypeAlias = Literal["run", "waits", "fetch", "remote", "fresh"]
INPUTS = "inputs."  # how the field of a reason begins that is about what a node reads (stages/store/verdict.py)
_UNCHANGED: Collection[Outcome] = ("fresh", "remote", "fetch")
_RANK: Mapping[Outcome, int] = MappingProxyType({"fresh": 0, "remote": 0, "fetch": 1, "waits": 2, "run": 3})


def find_outcomes(
    nodes: Sequence[Node], verdicts: Mapping[ArtifactId, Verdict], is_wanted: Callable[[Node], bool]
) -> dict[ArtifactId, Outcome]:
    """What becomes of each node, by the same rules as in a run (stages/run/demand.py).

    Args:
        nodes: of the run, each after those that it reads.
        verdicts: the store's word on each of them.
        is_wanted: whether a node's own payload is wanted, so that a collected one is made, or a remote one fetched,
            whoever reads it.
    """
    readers: dict[ArtifactId, list[ArtifactId]] = {}
    for node in nodes:
        for artifact in node.input_artifacts:
            readers.setdefault(artifact, []).append(node.artifact)
    outcomes: dict[ArtifactId, Outcome] = {node.artifact: "fresh" for node in nodes}
    has_changed = True
    while has_changed:  # what a collected artifact is depends on nodes that come after it; an outcome only ever rises
        has_changed = False
        for node in nodes:
            verdict, read = verdicts[node.artifact], [outcomes[each] for each in readers.get(node.artifact, ())]
            found = _judge(node, verdict, outcomes, [*read, "run"] if is_wanted(node) else read)
            has_changed |= _RANK[found] > _RANK[outcomes[node.artifact]]
            outcomes[node.artifact] = found
    return outcomes


def changing_inputs(node: Node, outcomes: Mapping[ArtifactId, Outcome]) -> list[str]:
    """Stages of those of a node's inputs that are made again, or perhaps."""
    return [each.stage for each in node.input_artifacts if outcomes.get(each, "fresh") not in _UNCHANGED]


def _judge(
    node: Node, verdict: Verdict, outcomes: Mapping[ArtifactId, Outcome], readers: Collection[Outcome]
) -> Outcome:
    changing = changing_inputs(node, outcomes)
    if verdict.state == "stale":
        open_fields = {f"{INPUTS}{stage}" for stage in changing}
        return "waits" if all(reason.field in open_fields for reason in verdict.reasons) else "run"
    if verdict.state == "fresh":
        return "waits" if changing else "fresh"
    if verdict.state == "remote":
        return "waits" if changing else "fetch" if {"run", "waits"} & {*readers} else "remote"
    if verdict.state == "collected":
        return "run" if "run" in readers else "waits" if changing or "waits" in readers else "fresh"
    return "run"
