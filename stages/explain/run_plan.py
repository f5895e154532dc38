"""The plan of a run that is beginning, with what earlier runs say of it: for the board that counts it down."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from stages.explain.explanation import LOWER_BOUND, expect
from stages.history.expectation import UNKNOWN, Expectation
from stages.keys import Node
from stages.run.build import Build
from stages.run.plan import Plan, Reused

_FETCHED = Expectation(None, UNKNOWN)  # how fast a network is, no earlier run says


def add_history(plan: Plan, build: Build, due: Sequence[Node], names: Collection[str]) -> Plan:
    """The same plan with expected seconds, and with what need not be made again. A lower bound is no expectation.

    Args:
        plan: of the run.
        build: of the run.
        due: what it makes, in its order, without what is fetched.
        names: of its tasks.

    Raises:
        UnreadableError: something in the store cannot be read.
    """
    expectations, inventory = expect(build, due)
    nodes = {
        title: replace(node, expected_s=None if found.source == LOWER_BOUND else found.seconds)
        for title, node in plan.nodes.items()
        if (found := expectations.get(title, _FETCHED))
    }
    asked = frozenset(names)
    reused = {}
    for node in build.graph.all_nodes():
        entry = inventory.entries.get(node.artifact)
        if node.title in asked and node.title not in nodes and entry is not None and entry.payload_bytes is not None:
            reused[node.title] = Reused(inventory.rebuild_s(node.artifact), entry.payload_bytes)
    return replace(plan, nodes=nodes, reused=reused)
