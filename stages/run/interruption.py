"""What an interrupted run has left of the nodes that it was making, in words."""

from collections.abc import Iterable
from pathlib import Path

from stages.keys import Node
from stages.store.partial import PartialStates

# In the state and the key of a denoise, the only node of which a part is kept: steps that are done, and all of them.
_DONE, _STEPS = "num_done", "num_inference_steps"


def describe_left(nodes: Iterable[Node], store: Path) -> str:
    """A sentence on nodes whose making was interrupted, after their processes have ended.

    Args:
        nodes: that were being made.
        store: its root folder, where states are kept.
    """
    left = [_describe(node, PartialStates(store)) for node in nodes]
    return f"{'; '.join(left)}." if left else "Nothing was in the middle of being made."


def _describe(node: Node, states: PartialStates) -> str:
    facts = states.read_facts(node.artifact) or {}
    if _DONE not in facts:
        return f"{node.title}: nothing half-made was kept"
    of_all = f" of {node.parameters[_STEPS]}" if _STEPS in node.parameters else ""
    return f"{node.title}: saved after step {facts[_DONE]}{of_all}"
