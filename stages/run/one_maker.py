"""One run makes a node, and the others wait: how a lease is asked for, and what is shown meanwhile.

What a lease is, and when one can be taken over, is in stages/store/leases.py.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager

from stages.errors import StageError
from stages.keys import ArtifactId, Node
from stages.machine.holder import Holder
from stages.pipeline.stage import Program
from stages.request.graph import Graph
from stages.run.runner import Event, Runner
from stages.store.leases import Leases


@contextmanager
def hold_node(
    node: Node,
    ancestors: Collection[ArtifactId],
    *,
    leases: Leases,
    runner: Runner,
    program: Program,
    group: str,
    observe: Callable[[Event], None],
    waits: bool,
) -> Iterator[Holder | None]:
    """Keep other runs from making a node for the time of the block; who made it before, if that was waited for.

    Without a lease, where none can be written, it is made all the same: only time can be lost.

    Args:
        node: what to make.
        ancestors: all that it is made from.
        leases: of the store.
        runner: of this run.
        program: what makes the node.
        group: of hosts that make it together.
        observe: sees, as a phase, that it is waited for.
        waits: False for an error in place of waiting.
    Raises:
        StageError: another run makes it, and it is not to be waited for.
    """

    def wait(holder: Holder | None, waited_s: float) -> None:
        who = holder or "another run"
        if not waits:
            raise StageError(f"{node.title} is being made by {who}. Run it again when that has ended.")
        runner.give_up_devices()  # the other run may need one for it
        observe({"event": "phase", "name": f"is being made by {who}; waiting, {waited_s:.0f} s so far"})

    def is_at_work() -> bool:
        return not runner.is_stopped(program)

    with ExitStack() as stack:
        try:
            before = stack.enter_context(leases.hold(node, ancestors, group=group, wait=wait, is_at_work=is_at_work))
        except OSError as error:
            observe({"event": "warning", "message": _explain(error)})
            before = None
        yield before


def _explain(error: OSError) -> str:
    return (
        f"other runs cannot be told that it is being made here ({error.filename}: {error.strerror}): they may make it, "
        "too, and the first result stays."
    )


def find_ancestors(node: Node, graph: Graph) -> list[ArtifactId]:
    """All that a node of the graph is made from, back to the first stage."""
    chain = {each.artifact: each for each in graph.videos[graph.videos_of(node)[0]].values()}
    found: dict[ArtifactId, None] = {}
    waiting = [*node.input_artifacts]
    while waiting:
        artifact = waiting.pop()
        found[artifact] = None
        waiting += chain[artifact].input_artifacts
    return [*found]
