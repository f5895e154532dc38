"""What a node reads is there before it is made; if it is not, a message says how to make it."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from stages.errors import StageError
from stages.keys import Node
from stages.store.verdict import State

if TYPE_CHECKING:
    from stages.run.build import Build

_STATES: Mapping[State, str] = MappingProxyType({"absent": "has not been made", "remote": "is on the remote store"})


def require_inputs(build: "Build", node: Node, *, but: Collection[State] = ()) -> None:
    """Find out whether what a node reads is there; `but` names states in which it need not be fresh.

    Raises:
        StageError: something is not.
    """
    chain = build.graph.videos[build.graph.videos_of(node)[0]]
    for parent in (chain[stage] for stage in node.inputs):
        verdict = build.verdict(parent)
        if not verdict.is_fresh and verdict.state not in but:
            why = f" ({build.freshness.explain(parent, verdict)})" if verdict.reasons else ""
            state = _STATES.get(verdict.state, f"is {verdict.state}{why}")
            command = build.command_for([parent.title])
            raise StageError(f"{node.title} reads {parent.title}, which {state}. Make it first: `{command}`")
