"""What the store says of a node: whether its artifact can stay, and the reasons as values.

Sentences for people are made of them where they are shown (stages/run/reasons.py).
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from stages.keys import JsonValue

NOT_PUSHED: Final = "not pushed"  # the field of a reason: what it is is known from a remote store, without its payload
State: TypeAlias = Literal["fresh", "collected", "absent", "stale", "forgotten", "corrupt", "remote"]


@dataclass(frozen=True)
class Reason:
    """One thing that keeps an artifact from being fresh.

    Attributes:
        field: what it is about: "code", "inputs.<stage>" (digest of that stage's payload), "payload" (its size in
            bytes), "digest" (of its bytes), "manifest" (what is wrong with it, `now`), or NOT_PUSHED.
        before: its value when the artifact was made; None where that is not known.
        now: its value at present; None of what is not there or cannot be read.
    """

    field: str
    before: JsonValue
    now: JsonValue


@dataclass(frozen=True)
class Verdict:
    """What the store says of a node, and why; fresh, collected, absent and forgotten need no reasons.

    Of a collected artifact only the payload is missing: what was made from it stays fresh, and it is made again when
    something has to read it (stages/run/demand.py). One that is remote can be fetched in place of being made; a folder
    by itself never says so.
    """

    state: State
    reasons: tuple[Reason, ...] = ()

    @property
    def is_fresh(self) -> bool:
        """Whether the node needs no run."""
        return self.state == "fresh"
