"""`doit verify`: read artifacts and compare them with what was published, or make them again elsewhere and compare."""

import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import StoreCommand, names_of, report_faults
from stages.commands.work_done import print_work
from stages.errors import ParamsError, StagesError
from stages.keys import ArtifactId, Node
from stages.models.wording import name_some
from stages.request.selection import select_nodes
from stages.run.build import Build
from stages.run.byte_progress import show_bytes, size, speed
from stages.run.display import duration, open_display
from stages.run.measuring import describe_difference
from stages.run.rebuild import Rebuilt, rebuild, require_comparable
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
        return code if options["all"] else max(code, report_faults(build, names))

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

        def report() -> None:
            for damage in found.damaged:
                print(f"{_name(videos, damage.artifact)}: {_describe(damage, videos, refused.get(damage.artifact))}")
            for unread in found.unread:
                print(f"{_name(videos, unread.artifact)}: {unread.message}")
            print(_summarize(found, seconds))

        marked = [each.artifact.title for each in found.damaged if each.artifact not in refused]
        is_printed = print_work(report, f"marked as damaged: {', '.join(marked)}" if marked else "")
        return int(bool(found.damaged or found.unread) or not is_printed)


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
        _count_more(len(found.recorded), "is", "are", "known from the remote store, and not here"),
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
    """Make nodes again, one after the other; whether one is not equal, or could not be made.

    What cannot be compared is refused before the first is made.
    """
    refused: list[Node] = []

    @contextmanager
    def refusing(node: Node) -> Iterator[None]:
        try:
            yield
        except StagesError as error:
            if is_debug:
                traceback.print_exc()
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            refused.append(node)

    for node in nodes:
        with refusing(node):
            require_comparable(build, node)
    screen, results = open_display(), list[Rebuilt]()
    try:
        for node in [each for each in nodes if each not in refused]:
            with refusing(node):
                with screen.show(node, build.graph.videos_of(node), "to compare") as view:
                    result = rebuild(build, node, view)
                print(f"{node.title}: {_explain(result, node)}")
                results.append(result)
    finally:
        build.runner.close()
        screen.close()
        build.store.sweep_drafts()
    print(_count_rebuilt(results, len(refused)))
    return _EQUAL if not refused and all(map(_is_good, results)) else _FAILURE


def _is_good(result: Rebuilt) -> bool:
    return result.is_equal and not result.damage


def _count_rebuilt(results: Sequence[Rebuilt], num_refused: int) -> str:
    """What the last line says."""
    num_damaged = sum(bool(result.damage) for result in results)
    num_equal = sum(map(_is_good, results))
    num_other = len(results) - num_damaged - num_equal
    parts = [
        f"{num_equal} equal to the bit",
        f"{num_other} with other bytes" if num_other else "",
        f"{num_damaged} of which the stored file is damaged" if num_damaged else "",
    ]
    head = f"{len(results)} artifact{'' if len(results) == 1 else 's'} made again"
    head += f": {', '.join(filter(None, parts))}." if results else "."
    return head + (f" {num_refused} could not be compared." if num_refused else "")


def _explain(result: Rebuilt, node: Node) -> str:
    if result.damage:
        return f"{result.damage}. {_explain_beside_damage(result)} `doit verify {node.title}` marks it as damaged."
    if result.is_equal:
        return "equal to the bit"
    found = [
        f"{name}: {each if isinstance(each, str) else describe_difference(each)}"
        for name, each in result.differences.items()
        if isinstance(each, str) or each["num_unequal"]
    ]
    return f"other bytes; {result.fault or '; '.join(found) or 'equal values'}"


def _explain_beside_damage(result: Rebuilt) -> str:
    """What the bytes that were made again are, where those that are stored are not what was published."""
    if result.is_as_published:
        return "What was made again is what the manifest says."
    if result.is_equal:
        return "What was made again has the same bytes, so that it may be the manifest that is wrong."
    return "What was made again is neither: how far it is from what was published cannot be measured any more."
