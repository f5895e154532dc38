"""`doit verify`: read artifacts and compare them with what was published, or make them again elsewhere and compare."""

import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import StoreCommand, names_of
from stages.errors import ParamsError, StagesError
from stages.keys import Node
from stages.models.wording import name_some
from stages.request.selection import select_nodes
from stages.run.build import Build
from stages.run.byte_progress import show_bytes, size, speed
from stages.run.display import duration, open_display
from stages.run.rebuild import Rebuilt, rebuild
from stages.store.artifacts import Store
from stages.store.manifest import RUN
from stages.store.verification import DAMAGED_RUN, Damage, Verified, find_artifacts, mark, verify

_EQUAL, _FAILURE = 0, 1  # exit codes


class Verify(StoreCommand):
    """Reads artifacts, or makes them again elsewhere."""

    takes_names = True
    takes_parameters = True
    interrupted = "Nothing was changed."

    doc_purpose = "read artifacts and compare their bytes with what was published"
    doc_usage = "[TASK ...] [--all] [--rebuild] [stage.name=value ...]"
    doc_description = """\
Reads the artifacts of tasks, stages and videos (default: of all present parameters) and compares their digests, several
at a time. What is damaged is named, and the next `doit` makes it again. A store that was copied is read here at the
disk's speed; `doit` would read each file when it first needs it.

With --rebuild it makes each of them again, in a folder that is deleted afterwards, by the present code and on this
machine, and compares: to the bit, or by the largest difference and the PSNR of tensors, or of a video's pictures.
Nothing is published.

Exit code: 0 when all files are what they were, or equal to the bit what was made again; 1 otherwise, also where they
differ in the last bits.

Examples:
doit verify
doit verify demo
doit verify --all
doit verify --rebuild denoise
"""
    cmd_options = (
        {
            "name": "all",
            "short": "",
            "long": "all",
            "type": bool,
            "default": False,
            "help": "read all artifacts in the store, whatever parameters made them",
        },
        {
            "name": "rebuild",
            "short": "",
            "long": "rebuild",
            "type": bool,
            "default": False,
            "help": "make the artifacts again elsewhere, and compare",
        },
        DEBUG,
    )

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Print what was found; the exit code."""
        if options["all"] and (names or options["rebuild"]):
            raise ParamsError("doit verify: --all is everything in the store. Leave the names, or --rebuild, out.")
        if options["rebuild"]:
            return _rebuild_all(build, select_nodes(build.graph, names), is_debug=options["debug"])
        code = _verify(build, names, is_all=options["all"])
        if names or options["all"]:
            return code
        for fault in dict.fromkeys(map(str, build.graph.faults.values())):
            print(fault, file=sys.stderr)
        return code or int(bool(build.graph.faults))


def _verify(build: Build, names: Sequence[str], *, is_all: bool) -> int:
    store, start = Store(build.store.root), time.monotonic()
    nodes = [] if is_all else select_nodes(build.graph, names)
    artifacts = find_artifacts(store.root) if is_all else [node.artifact for node in nodes]
    with show_bytes("verify") as observe:
        found = verify(store, artifacts, observe)
    seconds = time.monotonic() - start
    refused = mark(store, found.damaged)
    videos = names_of(build) if found.damaged else {}
    for damage in found.damaged:
        print(_describe(damage, videos.get(damage.artifact, ()), refused.get(damage.artifact)))
    print(_summarize(found, seconds))
    return int(bool(found.damaged))


def _describe(damage: Damage, videos: Sequence[str], refusal: str | None) -> str:
    """A damaged artifact, its videos and files, and what becomes of it."""
    faults = "; ".join(fault.message for fault in damage.faults)
    if refusal is not None:
        end = f"It could not be marked ({refusal})"
    elif damage.is_lost:
        end = "`doit` makes it again" if videos else "It is made again when a video needs it"
    elif any(fault.name == RUN for fault in damage.faults):
        end = f"The result is whole, and the file is {DAMAGED_RUN} now"
    else:
        end = "The result is whole"
    return f"{name_some(videos) if videos else 'no present video'}: {damage.artifact.title}: {faults}. {end}."


def _summarize(found: Verified, seconds: float) -> str:
    num_read = len(found.whole) + len(found.damaged)
    read = f"{size(found.size_bytes)} read in {duration(seconds)}, {speed(found.size_bytes, seconds)}"
    num_missing = len(found.missing)
    missing = f" {num_missing} more {'is' if num_missing == 1 else 'are'} yet to be made." if num_missing else ""
    if not num_read:
        return f"nothing to verify.{missing}"
    if found.damaged:
        return f"{len(found.damaged)} of {num_read} artifacts damaged: {read}.{missing}"
    return f"{num_read} artifact{'' if num_read == 1 else 's'} whole: {read}.{missing}"


def _rebuild_all(build: Build, nodes: Sequence[Node], *, is_debug: bool) -> int:
    """Make nodes again, one after the other; whether one is not equal, or could not be made."""
    screen, code = open_display(), _EQUAL
    try:
        for node in nodes:
            try:
                with screen.show(node, build.graph.videos_of(node), "to compare") as view:
                    result = rebuild(build, node, view)
            except StagesError as error:
                if is_debug:
                    traceback.print_exc()
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                code = _FAILURE
                continue
            print(f"{node.title}: {_explain(result)}")
            code = code if result.is_equal else _FAILURE
    finally:
        build.runner.close()
        screen.close()
        build.store.sweep_drafts()
    return code


def _explain(result: Rebuilt) -> str:
    if result.is_equal:
        return "equal to the bit"
    found = [
        f"{name}: {each if isinstance(each, str) else _measures(each)}"
        for name, each in result.differences.items()
        if isinstance(each, str) or each["num_unequal"]
    ]
    return f"other bytes; {result.fault or '; '.join(found) or 'equal values'}"


def _measures(difference: Mapping[str, int | float]) -> str:
    return (
        f"{difference['num_unequal']:,.0f} of {difference['num_values']:,.0f} values differ, "
        f"by {difference['max_abs']:.3g} at most, PSNR {difference['psnr_db']:.1f} dB"
    )
