"""A connection to a Ray cluster: how it begins, what hosts there are, and whether the head still answers.

The messages of what can be wrong with it are here. Loads Ray.
"""

import atexit
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, Final, TypeVar

# A call after the end of a connection is an error, and starts no cluster. Ray reads this once.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")

import ray
import ray.exceptions

from stages.errors import FleetError
from stages.fleet.status import Host, KnownActor
from stages.machine.lifeline import end_now
from stages.models.wording import MAX_QUOTED

NAMESPACE: Final = "hunyuan-stages"  # of the names of all actors, whoever has started them
_AUTO: Final = "auto"
_NUM_SLASHES: Final = 2  # in the name of an actor: the run, the program, a number
_ANSWER_S = 2.0  # in which an actor that has a place says so
_PROBE_S = 3.0  # for a connection to the head, which is at hand or not
_LOOK_S = 1.0  # between two looks whether the head is there
_MAX_SILENT = 5  # looks at which it was not: Ray itself waits for a minute, and ends the whole process then
_START = "Start one with `ray start --head`, or name its head in params/machine.toml (docs/fleet.md)."
# Packages travel without what Python makes beside the code.
_NOT_CODE = ["**/__pycache__/**", "**/*.pyc"]
_Value = TypeVar("_Value")


class Cluster:
    """A connection of this process, which can have one at a time. May be used by several threads."""

    def __init__(self, address: str, packages: Sequence[Path] = ()) -> None:
        """Connect.

        Args:
            address: "auto", or "<host>:<port>" of the head.
            packages: folders of Python packages, which travel to every host.
        Raises:
            FleetError: there is no cluster, or it is of another version.
        """
        self._address = address
        if address != _AUTO and not _answers(address):
            raise FleetError(f'ray_address = "{address}": nobody answers there. {_START}')
        code = {"runtime_env": {"py_modules": [*map(str, packages)], "excludes": _NOT_CODE}} if packages else {}
        self._head, self._num_silent = "", 0
        self._is_over = threading.Event()
        self.ask(lambda: _connect(address, code))  # in a thread of its own: in the main one Ray takes over SIGTERM
        self._head = str(ray.get_runtime_context().gcs_address)
        self._leaving: Mapping[str, float] = {}
        for watch in (self._watch, self._watch_leaving):
            threading.Thread(target=watch, daemon=True).start()

    @property
    def head(self) -> str:
        """The address of its head."""
        return self._head

    @property
    def is_lost(self) -> bool:
        """Whether its head has not answered for some seconds."""
        return self._num_silent >= _MAX_SILENT

    @property
    def leaving(self) -> Mapping[str, float]:
        """The nodes that Ray drains, by their ids, and when each ends, in seconds since 1970; `inf` if nobody knows."""
        return self._leaving

    def require(self) -> None:
        """Raise FleetError where the head does not answer any more."""
        if self.is_lost:
            raise FleetError(
                f"the head of the Ray cluster, {self._head}, does not answer any more. What was finished is in the "
                "store. Start the cluster again, then `doit` goes on."
            )

    def require_answer(self) -> None:
        """Wait until the head answers. Raises FleetError: it does not."""
        while not _answers(self._head):
            self.require()
            time.sleep(_LOOK_S)

    def ask(self, question: Callable[[], _Value]) -> _Value:
        """What a call of Ray's returns or raises, which would wait for a head that is gone. Raises FleetError."""
        if self._is_over.is_set():
            raise FleetError("the Ray cluster is asked for nothing more, because this run is ending.")
        return self._ask(question)

    def _ask(self, question: Callable[[], _Value]) -> _Value:
        answer = Future[_Value]()
        threading.Thread(target=_answer, args=[answer, question], daemon=True).start()
        while not answer.done():
            self.require()
            wait([answer], timeout=_LOOK_S)
        return answer.result()

    def hosts(self) -> list[Host]:
        """Those that are alive. Raises FleetError."""
        return [
            Host(str(node["NodeManagerHostname"]), str(node["NodeManagerAddress"]), node["Resources"], node["Labels"])
            for node in self.ask(ray.nodes)
            if node["Alive"]
        ]

    def actors(self, *, but: str = "") -> list[KnownActor]:
        """Those of all runs `but` one, by what each says of itself. Raises FleetError.

        One that says nothing has no place yet.
        """
        return self.ask(lambda: [*_ask_actors(but)])

    def close(self) -> None:
        """Take leave; what this process has started on the cluster ends."""
        self._is_over.set()
        try:
            self._ask(ray.shutdown)
        except FleetError:  # Ray would wait for the head at the end of the process, or end it by SIGSEGV
            atexit.unregister(ray.shutdown)
            atexit.register(_end_as_failed)

    def _watch(self) -> None:
        while not self._is_over.wait(_LOOK_S):
            self._num_silent = 0 if _answers(self._head) else self._num_silent + 1

    def _watch_leaving(self) -> None:
        """In a thread of its own: without its head Ray does not answer."""
        while not self._is_over.wait(_LOOK_S):
            with suppress(Exception):  # Ray's, of a connection that is about to end
                # It has no public name (2.60); Ray's own libraries use it.
                found = ray._private.state.state.get_draining_nodes()
                self._leaving = {node: milliseconds / 1000 or inf for node, milliseconds in found.items()}


def _connect(address: str, options: Mapping[str, Any]) -> None:
    # Ray would hide a host's GPUs from actors that ask for none, and says that it will not for ever.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except (ConnectionError, ray.exceptions.RaySystemError) as error:
        raise FleetError(f'ray_address = "{address}": there is no Ray cluster ({_shorten(error)}). {_START}') from error
    except (RuntimeError, ValueError, OSError) as error:
        if "ersion mismatch" in str(error):
            raise FleetError(
                f'ray_address = "{address}": {_shorten(error)}. Install the same versions of Python and Ray on all '
                f"hosts: here Ray is {ray.__version__}."
            ) from error
        raise FleetError(f'ray_address = "{address}": cannot be used ({_shorten(error)}). {_START}') from error


def _shorten(error: BaseException) -> str:
    """A message of Ray's on one line, without a full stop."""
    return " ".join(str(error).split())[:MAX_QUOTED].rstrip(". ")


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_S):
        return True
    return False


def _ask_actors(but: str) -> Iterator[KnownActor]:
    asked: dict[str, Any] = {}
    for name in ray.util.list_named_actors():
        if name.count("/") == _NUM_SLASHES and name.split("/")[0] != but:
            with suppress(ValueError):  # it has ended meanwhile
                asked[name] = ray.get_actor(name, NAMESPACE).describe.remote()
    ready = ray.wait([*asked.values()], num_returns=len(asked), timeout=_ANSWER_S)[0] if asked else []
    for name, promise in asked.items():
        run, program, _ = name.split("/")
        told: Mapping[str, Any] = {}
        if promise in ready:
            with suppress(ray.exceptions.RayError):
                told = json.loads(ray.get(promise))
        yield KnownActor(run, program, **{key: told[key] for key in ("host", "node", "since_s") if told})


def _end_as_failed() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    end_now()


def _answer(answer: Future[_Value], question: Callable[[], _Value]) -> None:
    try:
        answer.set_result(question())
    except BaseException as error:
        answer.set_exception(error)
