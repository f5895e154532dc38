"""`doit stop`: how a run is asked to end the making of one node, and how it heeds that.

What was finished stays, and of a denoise the last step. stages/store/stop_requests.py has the requests.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from stages.errors import StoreError
from stages.keys import ArtifactId, Node
from stages.machine.holder import Holder
from stages.run.interruption import describe_left
from stages.store.leases import Leases
from stages.store.stop_requests import StopRequests

_LOOK_S = 0.5  # between two looks for a request
_PATIENCE_S = 10.0  # for what is asked to end, before it is ended at once; it saves for 5 s at most
_ANSWER_S = 30.0  # in which a holder that is alive has ended


class StopWatch:
    """Looks for a request to stop a node, in a thread, while this process has the lease of it.

    Attributes:
        asked_by: who has asked, in words; "" while nobody has.
    """

    def __init__(self, node: Node, leases: Leases, end: Callable[[bool], None], *, look_s: float = _LOOK_S) -> None:
        """`end` is called at each look from the request on: with False at first, to end it so that it may save."""
        self.asked_by = ""
        self._node = node
        self._leases = leases
        self._end = end
        self._look_s = look_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def explain(self) -> str:
        """Why the node was not made, when it was stopped."""
        left = describe_left([self._node], self._leases.root).removeprefix(f"{self._node.title}: ")
        return f"{self._node.title}: was stopped by {self.asked_by} with `doit stop`; {left}"

    def _watch(self) -> None:
        holder = self._leases.find_holder(self._node.artifact)
        if holder is None or holder.process != os.getpid() or not holder.is_of_this_machine:
            return  # another host of this run's has it, or nobody could be told
        requests, waited_s = StopRequests(self._leases.root), 0.0
        while not self._is_over.wait(self._look_s):
            if not self.asked_by and (by := requests.find(self._node.artifact, holder)):
                self.asked_by = str(by)
                requests.withdraw(self._node.artifact)
            if self.asked_by:
                self._end(waited_s >= _PATIENCE_S)
                waited_s += self._look_s


def stop_node(artifact: ArtifactId, holder: Holder, leases: Leases, *, answer_s: float = _ANSWER_S) -> None:
    """Ask who makes an artifact to stop, and wait until he has.

    Raises:
        StoreError: he does not, within `answer_s` seconds.
        OSError: he cannot be asked.
    """
    requests = StopRequests(leases.root)
    requests.ask(artifact, holder)
    deadline = time.monotonic() + answer_s
    try:
        while (now := leases.find_holder(artifact)) is not None and now.token == holder.token:
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{artifact.title}: {holder} has not answered for {answer_s:.0f} s, and may be stopped, of an "
                    f"earlier version, or out of reach. End it where it runs: `kill {holder.process}` on {holder.host}."
                )
            time.sleep(leases.look_s)
    finally:
        requests.withdraw(artifact)


def describe_stopped(node: Node | None, artifact: ArtifactId, root: Path) -> str:
    """What is left of an artifact that is no longer being made; of `node`, if the present parameters have it."""
    if node is None:
        return f"{artifact.title}: stopped."
    return f"{artifact.title}: stopped; {describe_left([node], root).removeprefix(f'{artifact.title}: ')}"
