"""`doit gc`: delete what nobody needs any more."""

import os
import re
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from stages.commands.command_line import DEBUG
from stages.commands.gc_remote import collect as collect_there
from stages.commands.store_command import StoreCommand, names_of
from stages.commands.work_done import print_work
from stages.errors import ParamsError
from stages.keys import ArtifactId
from stages.machine.printable import printable
from stages.request.draft import DRAFT_SUFFIX
from stages.run.answers import Fault
from stages.run.build import Build
from stages.store.collection import cost_to_have_again, may_go
from stages.store.housekeeping import Limits, Outcome, collect_garbage
from stages.store.leftovers import links_to_artifacts
from stages.store.listing import describe, list_by_video
from stages.store.quantities import Limit, parse_limit, show_bytes, show_seconds
from stages.store.root_folder import require_writable

# Options that are limits, each with what it limits.
_LIMITS: Final[Mapping[str, str]] = MappingProxyType({
    "keep": "rest",
    "keep_programs": "programs",
    "keep_answers": "answers",
    "keep_logs": "logs",
})  # fmt: skip


def _limit(name: str, default: str, text: str) -> Mapping[str, Any]:
    shown = f"{text} [default: %(default)s]" if default else text
    return {"name": name, "short": "", "long": name.replace("_", "-"), "type": str, "default": default, "help": shown}


class Gc(StoreCommand):
    """Keeps what is wanted, pinned or in use; of the rest as much as is asked for."""

    doc_purpose = "delete what nobody needs any more"
    doc_usage = "[--keep SIZE|AGE] [--dry-run] [--remote [--grace AGE]]"
    doc_description = """\
Always keeps what the present parameters need, of all videos; what is pinned (`doit pin`), with all that it was made
from; and what a running `doit` makes or reads. All other artifacts are the rest: --keep says how much of it stays.

  --keep 50GB    at most 50 GB of the rest (units: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB)
  --keep 30d     what was made, read or linked within 30 days (units: h, d, w)
  --keep 0       nothing of the rest

Without --keep the rest stays, and only what is of no use to anybody goes: drafts of killed runs, old logs, links to
videos that are gone, previews of what nobody needs. With a size, what is cheapest per byte to make again goes first
(frames), then what was not used for longest. Where something that stays was made from a deleted artifact, its manifest
is kept as a record: nothing is made again before something has to read it.

A project knows its own parameters only: where several use one store, pin what the others need, or keep an age.
Compiled programs, answers of `doit preflight` and logs have limits of their own.

With --remote, the remote store is looked at, and nothing here. What the present parameters need by the present code
stays there, what is pinned here, and whatever anybody has pushed or fetched within --grace (24h). Of the rest, --keep
says an age: what nobody has pushed or fetched for so long goes, with what was made from it. Without --keep no artifact
goes, and only payloads that none has: of pushes that were killed, and of artifacts that an earlier gc has deleted.
What the killed runs of a fleet have left goes, too: claims, and partial states of what is finished.
With --dry-run, only an empty object is put there and deleted again: its time is the remote store's clock.

Examples:
doit gc --keep 50GB --dry-run
doit gc --keep 30d
doit gc --remote --keep 60d --dry-run
"""
    cmd_options = (
        _limit("keep", "", "how much of the rest stays, as a size or an age; without it, all"),
        _limit("keep_programs", "4GiB", "how much of the compiled programs stays"),
        _limit("keep_answers", "90d", "how much of the answers of `doit preflight` stays"),
        _limit("keep_logs", "30d", "how much of what the stages printed stays"),
        {
            "name": "dry_run",
            "short": "n",
            "long": "dry-run",
            "type": bool,
            "default": False,
            "help": "delete nothing; list what would go, with bytes and what it would cost to have it again",
        },
        {
            "name": "skip_faulty",
            "short": "",
            "long": "skip-faulty",
            "type": bool,
            "default": False,
            "help": "go on although a video cannot be read: of it only what its link shows is kept",
        },
        {
            "name": "remote",
            "short": "",
            "long": "remote",
            "type": bool,
            "default": False,
            "help": "delete from the remote store that machines share, and nothing here",
        },
        _limit("grace", "", "with --remote: what was used there within this age stays in any case [default: 24h]"),
        DEBUG,
    )

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:  # noqa: ARG002
        """Delete, or list what would be deleted; 1 when something that was asked for could not be done."""
        _require_one_store(options)
        if options["remote"]:
            return collect_there(build, options, _shown(build))
        root, limits, now = build.store.root, read_limits(options), time.time()
        if not root.is_dir():
            print(f"{root}: nothing has been made yet.")
            return 0
        faults = {} if options["skip_faulty"] else build.graph.faults
        if not options["dry_run"]:
            require_writable(root)
        outcome = collect_garbage(
            root,
            frozenset({*names_of(build), *_shown(build)}),
            limits,
            build.leases,
            now=now,
            are_all_known=not faults,
            is_dry_run=options["dry_run"],
        )

        def print_all() -> None:
            report(outcome, build, now=now, is_dry_run=options["dry_run"])
            _report_rest(outcome, limits.rest)

        is_printed = print_work(print_all, "" if options["dry_run"] else _sum_up(outcome))
        for fault in dict.fromkeys(str(Fault(error)) for error in faults.values()):
            print(fault, file=sys.stderr)
        if faults:
            print(
                "Nobody knows what these videos need, so no artifact was deleted. Correct their files or move them "
                "away, or keep of them only what their links show: `doit gc --skip-faulty`.",
                file=sys.stderr,
            )
        for note in outcome.notes:
            print(note, file=sys.stderr)
        return int(bool(faults) or bool(outcome.notes) or not is_printed)


def read_limits(options: Mapping[str, Any]) -> Limits:
    """What was asked for. Raises ParamsError: an option is no limit."""
    found: dict[str, Limit] = {}
    for option, name in _LIMITS.items():
        if text := options[option]:
            try:
                found[name] = parse_limit(text)
            except ValueError as error:
                raise ParamsError(f"doit gc: --{option.replace('_', '-')} {text}: {error}.") from error
    return Limits(**found)


def _require_one_store(options: Mapping[str, Any]) -> None:
    """Raise ParamsError where an option is about the other store."""
    if options["grace"] and not options["remote"]:
        raise ParamsError("doit gc: --grace is about the remote store. Give --remote as well, or leave it out.")
    defaults = {option["name"]: option["default"] for option in Gc.cmd_options}
    for name in _LIMITS:
        if options["remote"] and name != "keep" and options[name] != defaults[name]:
            raise ParamsError(f"doit gc: --{name.replace('_', '-')} is about this machine. Leave it or --remote out.")


def _shown(build: Build) -> Collection[ArtifactId]:
    """Artifacts to which the links of faulty videos point, their drafts and the videos of faulty sweeps among them."""
    links = links_to_artifacts(build.store.root)
    faulty = re.compile(rf"({'|'.join(map(re.escape, build.graph.faults))})(-\d+)?({re.escape(DRAFT_SUFFIX)})?")
    return {artifact for link, (artifact, _) in links.items() if build.graph.faults and faulty.fullmatch(link.stem)}


def report(outcome: Outcome, build: Build, *, now: float, is_dry_run: bool) -> None:
    """Print what was deleted, or would be."""
    inventory, collected = outcome.inventory, outcome.collected
    verb = "would be deleted" if is_dry_run else "deleted"
    if is_dry_run:
        names = {artifact: {*own} for artifact, own in names_of(build).items()}
        for link, (artifact, _) in links_to_artifacts(build.store.root).items():
            names.setdefault(artifact, set()).add(link.stem)
        for group in list_by_video(inventory, collected.payloads, names, going=collected.payloads):
            print("\n".join(describe(group, now=now)))
    if collected.payloads:
        cost_s = cost_to_have_again(inventory, collected.payloads, collected.payloads)
        what = "it" if len(collected.payloads) == 1 else "all of it"
        cost = f", {show_seconds(cost_s)} of computing to have {what} again" if cost_s != float("inf") else ""
        print(f"{verb}: {_count(collected.payloads)}, {show_bytes(sum(collected.payloads.values()))}{cost}")
    records = [artifact for artifact in collected.records if artifact not in collected.payloads]
    if records:
        print(f"{verb}: what was left of {_count(records)} after an earlier `doit gc`")
    for what, size_bytes in outcome.freed.items():
        print(f"{verb}: {what}, {show_bytes(size_bytes)}")
    for link, target in outcome.links.items():
        state = "goes" if is_dry_run and target in collected.payloads else "is gone"
        print(printable(f"{verb}: {os.path.relpath(link)}, a link to a video that {state}"))
    if not (collected.payloads or records or outcome.freed or outcome.links):
        print("nothing to delete.")


def _report_rest(outcome: Outcome, limit: Limit | None) -> None:
    """What stays, and how to have it go."""
    entries = outcome.inventory.entries.values()
    rest = [
        entry for entry in entries if may_go(entry, outcome.kept) and entry.artifact not in outcome.collected.payloads
    ]
    rest_bytes = sum(entry.payload_bytes or 0 for entry in rest)
    needed_bytes = sum(entry.payload_bytes or 0 for entry in entries if entry.artifact in outcome.kept)
    hint = " `doit gc --keep SIZE` or `--keep AGE` deletes of the rest." if rest_bytes and limit is None else ""
    print(f"kept: {show_bytes(needed_bytes)} wanted, pinned or in use, {show_bytes(rest_bytes)} of the rest.{hint}")
    unreadable = [entry for entry in entries if entry.manifest is None and not entry.is_remnant]
    if unreadable:
        print(
            f"not touched, because it cannot be read: {_count(unreadable)}, "
            f"{show_bytes(sum(entry.size_bytes for entry in unreadable))}. `doit du --json` names them."
        )


def _sum_up(outcome: Outcome) -> str:
    """What was deleted, in a few words; "" where nothing was."""
    size_bytes = sum(outcome.collected.payloads.values()) + sum(outcome.freed.values())
    parts = [f"{_count(outcome.collected.payloads)}"] if outcome.collected.payloads else []
    records = {*outcome.collected.records} - outcome.collected.payloads.keys()
    parts += [f"what was left of {_count(records)}"] if records else []
    parts += list(outcome.freed)
    parts += [f"{len(outcome.links)} link{'' if len(outcome.links) == 1 else 's'}"] if outcome.links else []
    return f"deleted: {', '.join(parts)} ({show_bytes(size_bytes)})" if parts else ""


def _count(artifacts: Collection[object]) -> str:
    return f"{len(artifacts)} artifact{'' if len(artifacts) == 1 else 's'}"
