"""`doit pull`: fetch from the remote store what a run would fetch, and make nothing."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import StoreCommand, report_faults
from stages.errors import StagesError
from stages.models.wording import name_some
from stages.request.selection import match_names
from stages.run.build import Build
from stages.run.byte_progress import show_bytes as show_progress
from stages.run.size import count
from stages.run.transfers import Place, fetch, find_places, find_unfetched, record_others, require_exchange
from stages.store.quantities import show_bytes


class Pull(StoreCommand):
    """Makes nothing; what the remote store does not have is named."""

    doc_purpose = "fetch from the remote store, and make nothing"
    doc_usage = "[TASK ...] [stage.name=value ...] [video=NAME]"
    doc_description = """\
Of the named tasks (default: all), what a `doit` of them would fetch from the store that `remote` in params/machine.toml
names: videos, and nothing of what they are made from. With the name of a stage, its results: `doit pull denoise`
fetches latents. `doit pull machine.remote_fetch=all` fetches everything. Each byte is compared with its digest.

Examples:
doit pull
doit pull demo
doit pull denoise decode
"""
    cmd_options = (DEBUG,)
    takes_names = True
    takes_parameters = True
    interrupted = "What has come is kept; `doit pull` goes on."

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:  # noqa: ARG002
        """Fetch it; 0 if all that was asked for is here."""
        return max(self._pull(build, names), report_faults(build, names))

    def _pull(self, build: Build, names: Sequence[str]) -> int:
        exchange = require_exchange(build)
        places = find_places(build, exchange, names)
        unfetched = find_unfetched(build, places, names)
        record_others(exchange, places, unfetched)
        total_bytes = sum(place.size_bytes for place in unfetched)
        fetched, faults = [], []
        if unfetched:
            with show_progress(f"pull from {exchange.remote.address}") as observe:
                for node, ending in fetch(build, exchange, unfetched, lambda done: observe(done, total_bytes)):
                    if isinstance(ending, str):
                        faults.append(f"{node.title}: {ending}")
                    else:
                        fetched.append(int(str(ending.get("fetched_bytes", 0))))
        for fault in faults:
            print(fault, file=sys.stderr)
        if fetched:
            print(
                f"fetched {count(len(fetched), 'artifact')} from {exchange.remote.address}, {show_bytes(sum(fetched))}"
            )
        _link(build, places)
        absent = _find_absent(build, places, names)
        if absent:
            print(f"not on {exchange.remote.address}: {name_some(absent)}. `doit` makes it.", file=sys.stderr)
        elif not fetched and not faults:
            print("nothing to fetch: all of it is here")
        return int(bool(faults or absent))


def _link(build: Build, places: Sequence[Place]) -> None:
    """Make the links to videos that are here now, and say where they are."""
    here = {place.node.artifact for place in places if build.verdict(place.node).is_fresh}
    for name, nodes in build.graph.videos.items():
        artifact = nodes[build.pipeline.last.name].artifact
        if artifact in here and not build.links.points_to(name, artifact):
            try:
                build.links.point_to(name, artifact)
            except StagesError as error:
                print(error, file=sys.stderr)
            else:
                print(f"{name}: {os.path.relpath(build.links.path(name))}")


def _find_absent(build: Build, places: Sequence[Place], names: Sequence[str]) -> list[str]:
    """Titles of what a run would have to make for its own sake: videos, and what is named."""
    demand = build.demand()
    demand.select([place.node.title for place in places], names)
    last, is_named = build.pipeline.last.name, match_names(names)
    return [
        place.node.title
        for place in places
        if (place.node.stage == last or is_named(place.node))
        and demand.is_due(place.node)
        and not demand.is_fetched(place.node)
    ]
