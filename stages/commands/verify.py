"""`doit verify`: read artifacts and compare them with what was published, or make them again elsewhere and compare."""

import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import StoreCommand, names_of
from stages.errors import ParamsError, StagesError
from stages.keys import ArtifactId, Node
from stages.models.wording import name_some
from stages.request.selection import select_nodes
from stages.run.build import Build
from stages.run.byte_progress import show_bytes, size, speed
from stages.run.display import duration, open_display
from stages.run.rebuild import Rebuilt, rebuild
from stages.store.artifacts import Store
from stages.store.damage import Damage, mark
from stages.store.manifest import DAMAGED_RUN, RUN
from stages.store.verification import Verified, find_artifacts, verify

_EQUAL, _FAILURE = 0, 1  # exit codes


class Verify(StoreCommand):
    """Reads artifacts, or makes them again elsewhere."""

    takes_names = True
    takes_parameters = True
    interrupted = "No artifact was changed."

    doc_purpose = "read artifacts and compare their bytes with what was published"
    doc_usage = "[TASK ...] [--all] [--rebuild] [stage.name=value ...]"
    doc_description = """\
Reads the artifacts of tasks, stages and videos (default: of all present parameters) and compares their digests, several
at a time. What is damaged is named, and the next `doit` makes it again. A store that was copied is read here at the
disk's speed; `doit` would read each file when it first needs it.

With --rebuild it makes each of them again, in a folder that is deleted afterwards, by the present code and on this
machine, and compares: to the bit, or by the largest difference and the PSNR of tensors, or of a video's pictures.
Nothing is published.

What cannot be read, for want of permission or because a file server does not answer, is named and stays as it is.

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
            self.interrupted = "Nothing was published."
            return _rebuild_all(build, select_nodes(build.graph, names), is_debug=options["debug"])
        code = self._verify(build, names, is_all=options["all"])
        if names or options["all"]:
            return code
        for fault in dict.fromkeys(map(str, build.graph.faults.values())):
            print(fault, file=sys.stderr)
        return code or int(bool(build.graph.faults))

    def _verify(self, build: Build, names: Sequence[str], *, is_all: bool) -> int:
        store, start = Store(build.store.root), time.monotonic()
        nodes = [] if is_all else select_nodes(build.graph, names)
        artifacts = find_artifacts(store.root) if is_all else [node.artifact for node in nodes]
        with show_bytes("verify") as observe:
            found = verify(store, artifacts, observe)
        seconds = time.monotonic() - start
        if found.damaged:
            self.interrupted = "Some of what is damaged may be marked, so that `doit` makes it again."
        refused = mark(store, found.damaged)
        videos = names_of(build) if found.damaged or found.unread else {}
        for damage in found.damaged:
            print(f"{_name(videos, damage.artifact)}: {_describe(damage, videos, refused.get(damage.artifact))}")
        for unread in found.unread:
            print(f"{_name(videos, unread.artifact)}: {unread.message}")
        print(_summarize(found, seconds))
        return int(bool(found.damaged or found.unread))


def _name(videos: Mapping[ArtifactId, Sequence[str]], artifact: ArtifactId) -> str:
    """An artifact and the present videos that need it."""
    names = videos.get(artifact, ())
    return f"{name_some(names) if names else 'no present video'}: {artifact.title}"


def _describe(damage: Damage, videos: Mapping[ArtifactId, Sequence[str]], refusal: str | None) -> str:
    """The damaged files of an artifact, and what becomes of it."""
    faults = "; ".join(fault.message for fault in damage.faults)
    if refusal is not None:
        end = f"It could not be marked ({refusal})"
    elif damage.is_lost:
        end = "`doit` makes it again" if videos.get(damage.artifact) else "It is made again when a video needs it"
    elif any(fault.name == RUN for fault in damage.faults):
        end = f"The result is whole, and the file is {DAMAGED_RUN} now"
    else:
        end = "The result is whole"
    return f"{faults}. {end}."


def _summarize(found: Verified, seconds: float) -> str:
    num_read = len(found.whole) + len(found.damaged)
    read = f"{size(found.size_bytes)} read in {duration(seconds)}, {speed(found.size_bytes, seconds)}"
    more = [
        f" {len(found.unread)} more cannot be read." if found.unread else "",
        _count_more(len(found.collected), "was", "were", "deleted by `doit gc`"),
        _count_more(len(found.missing), "is", "are", "yet to be made"),
    ]
    if not num_read:
        head = "nothing was read." if found.unread else "nothing to verify."
    elif found.damaged:
        head = f"{len(found.damaged)} of {num_read} artifacts damaged: {read}."
    else:
        head = f"{num_read} artifact{'' if num_read == 1 else 's'} whole: {read}."
    return head + "".join(more)


def _count_more(number: int, is_one: str, are_many: str, what: str) -> str:
    """A sentence on further artifacts; nothing where there are none."""
    return f" {number} more {is_one if number == 1 else are_many} {what}." if number else ""


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
