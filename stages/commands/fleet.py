"""`doit fleet status`: the hosts of a Ray cluster, and what runs where."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import JSON, StoreCommand, print_table
from stages.errors import ParamsError
from stages.fleet.fleet import read_status
from stages.fleet.needs import CHIPS, SLICE
from stages.fleet.status import Host, Status
from stages.machine.binary_units import show_gib
from stages.run.build import Build
from stages.run.size import count
from stages.store.quantities import show_seconds

_STATUS = "status"


class Fleet(StoreCommand):
    """Changes nothing."""

    doc_purpose = "say what hosts a Ray cluster has, and what runs where"
    doc_usage = "status [--json] [machine.ray_address=HOST:PORT]"
    doc_description = """\
The hosts of the cluster at `ray_address` in params/machine.toml, with what they have for stages. Then what every `doit`
has on it: what is made where, and what waits for a host.
"""
    cmd_options = ({**JSON, "help": "print JSON; memory is in bytes"}, DEBUG)
    takes_names = True
    interrupted = "Nothing was changed."

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Print it; 0."""
        if [*names] != [_STATUS]:
            typed = f"{' '.join(names)}: " if names else ""
            raise ParamsError(f"doit fleet: {typed}there is `doit fleet status`.")
        status = read_status(build.machine.ray_address)
        if options["json"]:
            print(json.dumps(asdict(status), indent=2))
        else:
            _print(status)
        return 0


def _print(status: Status) -> None:
    print(f"Ray cluster at {status.address}, {count(len(status.hosts), 'host')}")
    rows = [(host.name, host.address, _show_chips(host), *_show_sizes(host)) for host in status.hosts]
    print_table(("host", "address", "chips", "CPUs", "memory"), rows, num_texts=3)
    placed = [actor for actor in status.actors if actor.host]
    if placed:
        print()
        works = [
            (actor.program, actor.host, actor.node or "nothing", actor.run, show_seconds(actor.since_s))
            for actor in placed
        ]
        print_table(("program", "on", "makes", "for", "since"), works, num_texts=4)
    if num_waiting := len(status.actors) - len(placed):
        print(f"{count(num_waiting, 'more actor')} waiting for room")


def _show_chips(host: Host) -> str:
    chips = ", ".join(f"{host.resources[kind]:.0f} {kind}" for kind in CHIPS if kind in host.resources) or "none"
    return f"{chips} of {host.labels[SLICE]}" if SLICE in host.labels else chips


def _show_sizes(host: Host) -> tuple[str, str]:
    return f"{host.resources.get('CPU', 0):.0f}", show_gib(host.resources.get("memory", 0))
