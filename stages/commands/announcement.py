"""What is said before a run: to the screen what it is to make, and of sweeps, to people, how much that is."""

from collections.abc import Callable, Collection

from stages.commands.invocation import Invocation
from stages.keys import Node
from stages.pipeline.stage import ACCELERATOR
from stages.request.tables import RAY
from stages.run.build import Build
from stages.run.freshness import Due


def announce(build: Build, invocation: Invocation, due: Due, names: Collection[str]) -> None:
    """Say what a run is about to make.

    Args:
        build: of the run.
        invocation: whose screen shows it.
        due: what it makes.
        names: of its tasks.
    """
    from stages.run.plan import Plan, PlannedNode  # noqa: PLC0415 (of no use when nothing is to be made)

    announce_sweeps(build, invocation.say, due, names)
    nodes = {}
    for node in due.nodes:
        nodes[node.title] = PlannedNode(node.stage, lane=_lane_of(build, node))
    basis = Plan(build.pipeline.names, nodes)

    def refine() -> Plan:
        from stages.explain.run_plan import add_history  # noqa: PLC0415 (slow, and of no use before something runs)

        return add_history(basis, build, due.made, names)

    invocation.screen.plan(basis, refine)


def _lane_of(build: Build, node: Node) -> str:
    if build.machine.runner == RAY:
        return node.title  # its hosts are many
    device = build.program_of(node).device
    return device if device == ACCELERATOR else node.stage


def announce_sweeps(build: Build, say: Callable[[str], None], due: Due, names: Collection[str]) -> None:
    """`24 videos: 2 encodes, 24 denoises, 24 decodes, 24 exports, about 3 h 10 min`; nothing where no sweep is made.

    The time stands there only if earlier runs say it of all that is to be made.

    Args:
        build: of the run.
        say: shows a line.
        due: what the run makes.
        names: of its tasks.
    """
    if not build.graph.sweeps:
        return
    # neither is of any use in a run without sweeps, or when nothing is to be made
    from stages.explain.explanation import expect  # noqa: PLC0415
    from stages.explain.wording import say_time  # noqa: PLC0415
    from stages.run.size import describe_size  # noqa: PLC0415

    if size := describe_size(build.graph, due, names, is_draft=build.is_draft):
        expectations, _ = expect(build, due.made)
        say(", ".join(part for part in (size, say_time([*expectations.values()])) if part))
