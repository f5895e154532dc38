"""What `doit fleet status` shows of a cluster: its hosts, and the actors of all runs. Loads nothing of Ray."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Host:
    """A host of a cluster.

    Attributes:
        name: as it calls itself.
        address: at which others find it.
        resources: what it has for actors, by Ray's names.
        labels: what it is, by Ray's names, such as the slice of a TPU that it belongs to.
    """

    name: str
    address: str
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownActor:
    """An actor of whatever run.

    Attributes:
        run: user, host and process id of the `doit` that has started it.
        program: whose jobs it does.
        host: name of that of its place; "" where it waits for one.
        node: title of what it makes; "" for nothing.
        since_s: seconds since it began that, or has nothing to do.
    """

    run: str
    program: str
    host: str = ""
    node: str = ""
    since_s: float = 0.0


@dataclass(frozen=True)
class Status:
    """A cluster: the address of its head, its hosts that are alive, and the actors of all runs."""

    address: str
    hosts: tuple[Host, ...]
    actors: tuple[KnownActor, ...]
