"""`doit remote status`: what is on the remote store, what is here, and what would pass between the two."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import JSON, StoreCommand, print_table
from stages.errors import ParamsError
from stages.run.build import Build
from stages.run.exchange import Exchange
from stages.run.size import count
from stages.run.transfers import Place, find_places, find_unfetched, find_unpushed, require_exchange
from stages.store.quantities import show_bytes

_STATUS = "status"
_KINDS = ("both", "here", "remote", "nowhere")


class Remote(StoreCommand):
    """Changes nothing."""

    doc_purpose = "say what is on the remote store, and what is not"
    doc_usage = "status [TASK ...] [--json]"
    doc_description = """\
Of each stage of the named tasks (default: all): how many results are here and on the remote store, only here, only
there, and nowhere. A result counts if it was made by the present code. Then what `doit push` would send, what a run
would fetch, and what is damaged there.
"""
    cmd_options = ({**JSON, "help": "print JSON; sizes are bytes"}, DEBUG)
    takes_names = True
    takes_parameters = True
    interrupted = "Nothing was changed."

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Print it; 0."""
        if [*names[:1]] != [_STATUS]:
            typed = f"{names[0]}: " if names else ""
            raise ParamsError(f"doit remote: {typed}there is `doit remote status`, `doit push` and `doit pull`.")
        exchange = require_exchange(build)
        places = find_places(build, exchange, names[1:])
        fields = _measure(build, exchange, places)
        if options["json"]:
            print(json.dumps(fields, indent=2))
        else:
            _print(exchange, fields)
        return 0


def _measure(build: Build, exchange: Exchange, places: Sequence[Place]) -> dict[str, Any]:
    counts = {stage: Counter[str]() for stage in build.pipeline.names}
    for place in places:
        counts[place.node.stage][_kind_of(place)] += 1
    unpushed = find_unpushed(exchange, places, ())
    unfetched = find_unfetched(build, places, ())
    return {
        "remote": str(exchange.remote.address),
        "stages": {stage: {kind: found[kind] for kind in _KINDS} for stage, found in counts.items()},
        "to_push": len(unpushed),
        "to_push_bytes": sum(place.size_bytes for place, is_whole in unpushed if is_whole),
        "to_fetch": len(unfetched),
        "to_fetch_bytes": sum(place.size_bytes for place in unfetched),
        "is_read_only": exchange.remote.policy.is_read_only,
        "damaged": dict(exchange.remote.catalog.damaged),
    }


def _kind_of(place: Place) -> str:
    if place.is_whole_here:
        return "both" if place.is_whole_there else "here"
    return "remote" if place.is_whole_there else "nowhere"


def _print(exchange: Exchange, fields: Mapping[str, Any]) -> None:
    print(f"{exchange.remote.address}{', read only' if fields['is_read_only'] else ''}")
    rows = [(stage, *(str(kinds[kind]) for kind in _KINDS)) for stage, kinds in fields["stages"].items()]
    print_table(("stage", "on both", "here only", "there only", "nowhere"), rows)
    if fields["to_push"] and not fields["is_read_only"]:
        print(f"`doit push` sends {count(fields['to_push'], 'artifact')}, {show_bytes(fields['to_push_bytes'])}")
    if fields["to_fetch"]:
        print(f"`doit` fetches {count(fields['to_fetch'], 'artifact')}, {show_bytes(fields['to_fetch_bytes'])}")
    for name, reason in fields["damaged"].items():
        print(f"damaged: {name} ({reason}); `doit push` puts it again from where it was made")
