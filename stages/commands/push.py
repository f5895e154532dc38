"""`doit push`: put on the remote store what it lacks of the present parameters' artifacts."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.pushing import tell
from stages.commands.store_command import StoreCommand, report_faults
from stages.errors import ParamsError
from stages.run.build import Build
from stages.run.byte_progress import show_bytes as show_progress
from stages.run.next_steps import command_for
from stages.run.size import count
from stages.run.transfers import Place, find_places, find_unpushed, make_pusher, require_exchange


class Push(StoreCommand):
    """Makes nothing. What is there already is not sent again, also not the parts of a payload that was cut."""

    doc_purpose = "put on the remote store what it does not have yet"
    doc_usage = "[TASK ...] [stage.name=value ...] [video=NAME]"
    doc_description = """\
Of the named tasks (default: all) and of what they are made of, what is here and made by the present code goes to the
store that `remote` in params/machine.toml names. A run of `doit` does the same with what it makes, while it goes on.

`remote_push` there says of which stages results are pushed: all but frames, which are large; of those the remote store
is only told what they are, so that videos made from them can be fetched. A stage that is named is pushed all the same.

Examples:
doit push
doit push decode              # frames, too
doit push demo denoise.seed=7
"""
    cmd_options = (DEBUG,)
    takes_names = True
    takes_parameters = True
    interrupted = "What was sent stays sent; `doit push` goes on."

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:  # noqa: ARG002
        """Push it; 0 if all is there."""
        return max(self._push(build, names), report_faults(build, names))

    def _push(self, build: Build, names: Sequence[str]) -> int:
        exchange = require_exchange(build)
        if exchange.remote.policy.is_read_only:
            raise ParamsError(
                'machine.remote_push = "never": nothing is pushed from this machine. '
                "`doit push machine.remote_push=auto` does it once."
            )
        places = find_places(build, exchange, names)
        unpushed = find_unpushed(exchange, places, names)
        if not unpushed:
            print(f"nothing to push: {exchange.remote.address} has it all{_describe_rest(build, places)}")
            return 0
        with show_progress(f"push to {exchange.remote.address}") as observe:
            outcome = make_pusher(exchange, unpushed).wait(observe)
        sys.stdout.flush()
        tell(outcome, exchange.remote.address, print, command_for(names, build.overrides, "push"))
        return int(bool(outcome.left))


def _describe_rest(build: Build, places: Sequence[Place]) -> str:
    """What the remote store does not have although nothing is to be pushed."""
    left_out = {place.node.stage: None for place in places if place.is_whole_here and not place.is_whole_there}
    missing = sum(place.here is None for place in places)
    command = command_for([*left_out], build.overrides, "push")
    parts = [f", without the payloads of {', '.join(left_out)}: `{command}` sends them"] if left_out else []
    parts += [f"; {count(missing, 'artifact')} not made here"] if missing else []
    return "".join(parts)
