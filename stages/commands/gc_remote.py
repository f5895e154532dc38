"""`doit gc --remote`: delete from the remote store what nobody has used for long; of `doit gc`, in gc.py."""

import sys
from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Any, Final

from stages.commands.work_done import print_work
from stages.errors import ParamsError, RemoteError
from stages.keys import ArtifactId, Digest
from stages.machine.printable import cut, printable
from stages.models.wording import name_some
from stages.remote.abandoned import Abandoned, collect_abandoned
from stages.remote.collection import Rules, find_obstacles, find_rest
from stages.remote.collector import Collected, collect_remote
from stages.remote.copies import CopyId
from stages.remote.inventory import Inventory, ItemId
from stages.run.answers import Fault
from stages.run.build import Build
from stages.run.exchange import Exchange
from stages.run.size import count
from stages.run.transfers import require_exchange
from stages.store.pins import Pins
from stages.store.quantities import parse_limit, show_bytes, show_seconds

_GRACE: Final = "24h"
_MIN_GRACE_S: Final = 3600.0  # pushes rely on this much (stages/remote/payload_upload.py)
_MAX_PROMPT: Final = 60  # characters


def collect(build: Build, options: Mapping[str, Any], shown: Collection[ArtifactId]) -> int:
    """Delete, or list what would be deleted; 1 when something that was asked for could not be done.

    Args:
        build: of the project.
        options: of the command.
        shown: what the links of faulty videos show.
    """
    exchange = require_exchange(build)
    if exchange.remote.policy.is_read_only:
        raise ParamsError(
            'machine.remote_push = "never": nothing is deleted from this machine. '
            "`doit gc --remote machine.remote_push=auto` does it once."
        )
    faults = {} if options["skip_faulty"] else build.graph.faults
    rules = _read_rules(build, exchange, options, shown, are_all_known=not faults)
    bucket, is_dry_run = exchange.remote.bucket, options["dry_run"]
    done = collect_remote(bucket, rules, is_dry_run=is_dry_run)
    left, obstacle = Abandoned(), None
    try:
        if not faults:  # else nobody knows of which code states are needed
            left = collect_abandoned(bucket, rules, done, is_dry_run=is_dry_run)
    except RemoteError as error:  # what is gone by then is said first
        obstacle = error

    def print_all() -> None:
        _report(done, left, rules, is_dry_run=is_dry_run, is_all=options["keep"] == "")

    is_printed = print_work(print_all, "" if is_dry_run else _sum_up(done, left))
    if obstacle is not None:
        raise obstacle
    for fault in dict.fromkeys(str(Fault(error)) for error in faults.values()):
        print(fault, file=sys.stderr)
    if faults:
        print(
            "Nobody knows what these videos need, so no artifact was deleted. Correct their files or move them away, "
            "or keep of them only what their links show: `doit gc --remote --skip-faulty`.",
            file=sys.stderr,
        )
    obstacles = find_obstacles(done.inventory, rules)
    if obstacles:
        print(_describe_obstacles(done.inventory, obstacles), file=sys.stderr)
    return int(bool(faults) or bool(obstacles) or not is_printed)


def _read_rules(
    build: Build,
    exchange: Exchange,
    options: Mapping[str, Any],
    shown: Collection[ArtifactId],
    *,
    are_all_known: bool,
) -> Rules:
    """What stays. Raises ParamsError: an option is wrong. StoreError: a pin cannot be read."""
    keep_s, grace_s = _read_age("keep", options["keep"]), _read_age("grace", options["grace"] or _GRACE)
    if grace_s is None or grace_s < _MIN_GRACE_S:
        raise ParamsError(
            f"doit gc: --grace {options['grace']}: must be at least {show_seconds(_MIN_GRACE_S)}, on which pushes rely."
        )
    pinned = [artifact for pin in Pins(build.store.root).read() for artifact in pin.artifacts]
    wanted: dict[ArtifactId, Collection[Digest] | None] = {
        node.artifact: (exchange.nodes.code_of(node),) for node in build.graph.all_nodes()
    }
    wanted |= dict.fromkeys([*pinned, *shown])
    return Rules(wanted, grace_s, keep_s if are_all_known else None, skips_damaged=options["skip_faulty"])


def _read_age(option: str, text: str) -> float | None:
    """Seconds that were typed; None where nothing was."""
    if not text:
        return None
    try:
        age_s = parse_limit(text).age_s
    except ValueError:
        age_s = None
    if age_s is None:
        raise ParamsError(
            f"doit gc: --{option} {text}: must be an age with --remote, such as 12h, 30d or 8w: a remote store is "
            "everybody's, and what others have used stays."
        )
    return age_s


def _report(done: Collected, left: Abandoned, rules: Rules, *, is_dry_run: bool, is_all: bool) -> None:
    """Print what was deleted, or would be, and what stays."""
    inventory, plan = done.inventory, done.plan
    if is_dry_run:
        for line in (*_list(inventory, plan.items, done.now), *_list_states(left, done.now)):
            print(line)
    _report_deleted(done, left, rules, "would be deleted" if is_dry_run else "deleted")
    waiting = plan.waiting & inventory.copies.keys() - _going(done)
    if waiting:
        print(
            f"not yet: payloads that no artifact has, {show_bytes(_sum(inventory, waiting))}: they were pushed, or "
            f"their artifacts deleted, within {show_seconds(rules.grace_s)}."
        )
    rest = find_rest(inventory, rules)
    wanted = {inventory.items[each].copy for each in inventory.items.keys() - rest}
    others = {inventory.items[each].copy for each in rest - plan.items} - wanted
    wanted_bytes, rest_bytes = _sum(inventory, wanted), _sum(inventory, others) + left.rest_bytes
    hint = " `doit gc --remote --keep AGE` deletes of the rest." if rest_bytes and is_all else ""
    print(f"kept: {show_bytes(wanted_bytes)} wanted or pinned here, {show_bytes(rest_bytes)} of the rest.{hint}")


def _report_deleted(done: Collected, left: Abandoned, rules: Rules, verb: str) -> None:
    inventory, plan = done.inventory, done.plan
    freed = _going(done) - {inventory.items[each].copy for each in inventory.items.keys() - plan.items}
    if plan.items:
        after = show_seconds(rules.grace_s)
        later = (
            f"; of their payloads, {show_bytes(_sum(inventory, freed))} go by a later `doit gc --remote`, after {after}"
        )
        print(f"{verb}: {count(len(plan.items), 'artifact')}{later if freed else ''}")
    if plan.copies:
        print(f"{verb}: payloads that no artifact has, {show_bytes(_sum(inventory, plan.copies))}")
    if left.states:
        print(f"{verb}: {_describe_states(left)}")
    if left.claims:
        print(f"{verb}: {_describe_claims(left)}")
    if plan.others:
        print(f"{verb}: {count(len(plan.others), 'small object')} of no use")
    if not (plan.items or plan.copies or plan.others or left.states or left.claims):
        print("nothing to delete.")


def _going(done: Collected) -> set[CopyId]:
    """Payloads of artifacts that go."""
    return {copy for each in done.plan.items if (copy := done.inventory.items[each].copy) is not None}


def _describe_states(left: Abandoned) -> str:
    return f"{count(len(left.states), 'partial state')}, {show_bytes(_size_of_states(left))}"


def _describe_claims(left: Abandoned) -> str:
    return f"{count(len(left.claims), 'claim')} of runs that have ended"


def _size_of_states(left: Abandoned) -> int:
    return sum(each.size_bytes for each in left.states.values())


def _sum(inventory: Inventory, copies: Collection[CopyId | None]) -> int:
    return sum(inventory.copies[each].size_bytes for each in copies if each is not None and each in inventory.copies)


def _list(inventory: Inventory, items: Collection[ItemId], now: float) -> list[str]:
    """Artifacts by prompt, the largest first."""

    def prompt_of(item_id: ItemId) -> str:
        prompts = {
            str(each.entry.manifest.parameters["prompt"])
            for source in inventory.with_sources([item_id])
            for each in inventory.items[source].found
            if "prompt" in each.entry.manifest.parameters
        }
        return f'"{printable(min(prompts))}"' if prompts else "of an unknown prompt"

    lines = []
    for prompt, group in groupby(sorted(items, key=prompt_of), key=prompt_of):
        members = [(each, inventory.items[each]) for each in group]
        lines.append(f"{cut(prompt, _MAX_PROMPT)} ({show_bytes(sum(item.size_bytes for _, item in members))})")
        for (artifact, _), item in sorted(members, key=lambda each: (-each[1].size_bytes, each[0].artifact.title)):
            size = show_bytes(item.size_bytes) if item.whole is not None else "no payload"
            lines.append(f"  {artifact.title:<22} {size:>10}  used {show_seconds(max(now - item.last_use, 0))} ago")
    return lines


def _list_states(left: Abandoned, now: float) -> list[str]:
    """States of artifacts that are finished, or that nobody has gone on with, the largest first."""
    lines = [f"partial states ({show_bytes(_size_of_states(left))})"] if left.states else []
    for artifact, state in sorted(left.states.items(), key=lambda each: (-each[1].size_bytes, each[0].title)):
        age = show_seconds(max(now - state.modified, 0))
        lines.append(f"  {artifact.title:<22} {show_bytes(state.size_bytes):>10}  saved {age} ago")
    return lines


def _sum_up(done: Collected, left: Abandoned) -> str:
    """What was deleted, in a few words; "" where nothing was."""
    plan = done.plan
    parts = [count(len(plan.items), "artifact")] if plan.items else []
    parts += [f"payloads, {show_bytes(_sum(done.inventory, plan.copies))}"] if plan.copies else []
    parts += [_describe_states(left)] if left.states else []
    parts += [_describe_claims(left)] if left.claims else []
    return f"deleted: {', '.join(parts)}" if parts else ""


def _describe_obstacles(inventory: Inventory, names: Collection[str]) -> str:
    shown = name_some([f"{name} ({inventory.unreadable[name].reason})" for name in sorted(names)])
    return (
        f"No payload was deleted, because nobody knows what these need: {shown}. `doit push` puts a damaged one again "
        "from where it was made; `doit gc --remote --skip-faulty` deletes it. What another version of this project has "
        "put, that version can collect."
    )
