"""`doit du`: where the bytes of the store are."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import JSON, StoreCommand, names_of, print_table
from stages.models.wording import name_some
from stages.run.build import Build
from stages.store.pins import Pins
from stages.store.quantities import show_bytes
from stages.store.space import KINDS, Space, measure


class Du(StoreCommand):
    """Bytes by stage, by video, and of what is no artifact."""

    doc_purpose = "say where the bytes of the store are"
    doc_usage = "[--json]"
    doc_description = """\
Of each stage: what the present parameters need (wanted), what is only pinned, and the rest, which `doit gc` may delete.
Of each video: what no other needs; what several share is counted once, in a line of its own. Then partial states,
drafts, compiled programs, answers of `doit preflight`, logs, previews, and files that are nobody's. Sizes are those of
the files, in units of 1000.
"""
    cmd_options = (JSON, DEBUG)

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:  # noqa: ARG002
        """Print it; 0."""
        root = build.store.root
        pinned = frozenset(artifact for pin in Pins(root).read() for artifact in pin.artifacts)
        space = measure(root, names_of(build), pinned, build.pipeline.names)
        if options["json"]:
            print(json.dumps(space.to_json(), indent=2))
        else:
            _print(space)
        if build.graph.faults:
            print(
                f"note: what these need is among the rest, because they cannot be read: "
                f"{name_some([*build.graph.faults])}. `doit list` says why.",
                file=sys.stderr,
            )
        return 0


def _print(space: Space) -> None:
    rows = [
        (stage, *(show_bytes(kinds[kind][1]) for kind in KINDS), str(sum(number for number, _ in kinds.values())))
        for stage, kinds in space.stages.items()
    ]
    rows.append(("in all", *(show_bytes(space.sum_of(kind)) for kind in KINDS), ""))
    print_table(("stage", *KINDS, "artifacts"), rows)
    shared = [("shared by several of them", show_bytes(space.shared_bytes))] if space.shared_bytes else []
    videos = [(name, show_bytes(size_bytes)) for name, size_bytes in space.videos.items()]
    _print_more(("video", "its own"), [*videos, *shared])
    others = [*space.folders.items(), ("pins, leases and other records", space.record_bytes)]
    others += [("other files", space.other_bytes), ("the whole store", space.total_bytes)]
    _print_more(("besides", "bytes"), [(what, show_bytes(size_bytes)) for what, size_bytes in others if size_bytes])


def _print_more(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A further table, unless it would be empty."""
    if rows:
        print()
        print_table(heading, rows)
