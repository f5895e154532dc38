"""What a run is about to make, as far as it can be known before: what board.py counts down."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PlannedNode:
    """A node that is to be made.

    Attributes:
        stage: of the node.
        lane: nodes of one lane are made one after another, whatever `doit -n` says (time_left.py).
        expected_s: seconds; None where no earlier run says it.
    """

    stage: str
    lane: str
    expected_s: float | None = None


@dataclass(frozen=True)
class Reused:
    """An artifact that is there: seconds that making it took, None where nobody knows, and bytes of its payload."""

    rebuild_s: float | None
    size_bytes: int


@dataclass(frozen=True)
class Plan:
    """A run.

    Attributes:
        stages: names of all of the pipeline, in order.
        nodes: to be made, by their titles, in their order.
        reused: those of the run that need not be made, by their titles; empty as long as that is not known.
    """

    stages: tuple[str, ...] = ()
    nodes: Mapping[str, PlannedNode] = field(default_factory=dict)
    reused: Mapping[str, Reused] = field(default_factory=dict)

    def stage_of(self, title: str) -> str | None:
        """The stage of a node that is to be made; None of another one."""
        return self.nodes[title].stage if title in self.nodes else None
