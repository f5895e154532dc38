"""`doit pin`, `doit unpin` and `doit pins`: what stays whatever the parameters become."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stages.commands.command_line import DEBUG
from stages.commands.store_command import JSON, StoreCommand, print_table
from stages.commands.work_done import print_work
from stages.errors import ParamsError, StoreError
from stages.keys import ArtifactId
from stages.machine.printable import cut, local_time, printable
from stages.request.draft import name_draft
from stages.request.names import near
from stages.run.build import Build
from stages.store.inventory import Inventory, list_artifacts, take_inventory
from stages.store.pins import Pin, Pins, who_and_when
from stages.store.quantities import show_bytes
from stages.store.root_folder import require_writable

_MIN_KEY = 6  # hex digits by which a key may be typed
_MAX_NOTE = 60  # characters of a note, or of who has pinned, in a line


class PinCommand(StoreCommand):
    """`doit pin`."""

    name = "pin"
    doc_purpose = "keep a video or an artifact, whatever the parameters become"
    doc_usage = "VIDEO|TASK|KEY ... [--note TEXT] [stage.name=value ...]"
    doc_description = """\
`doit gc` keeps what is pinned, with all that it was made from, until `doit unpin`. A video is pinned as the present
parameters make it, also before it is made; when they change, the pin stays on what it was. An artifact is named by its
task (decode:3f9ac1d2e0b4, see `doit list --all` and `doit gc --dry-run`) or by its key.

Examples:
doit pin demo --note "shown on Monday"
doit pin demo denoise.seed=7
doit pin denoise:3f9ac1d2e0b4
"""
    cmd_options = (
        {
            "name": "note",
            "short": "",
            "long": "note",
            "type": str,
            "default": "",
            "help": "what `doit pins` is to say of it",
        },
        DEBUG,
    )
    takes_names = True
    takes_parameters = True

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:
        """Pin all of them, or none when a name is nobody's; 0."""
        if not names:
            raise ParamsError("doit pin: name what to pin: videos, tasks or keys. `doit list --all` names them.")
        pins, inventory = Pins(build.store.root), take_inventory(build.store.root)
        names = [video for name in names for video in build.graph.sweeps.get(name, (name,))]
        new = [_pin(build, inventory, name, options["note"]) for name in names]
        require_writable(build.store.root)
        added: list[tuple[Pin, Pin | None]] = []
        try:
            for pin in new:
                added.append((pin, pins.add(pin)))
        except StoreError as error:
            done = ", ".join(printable(pin.title) for pin, _ in added)
            raise StoreError(f"{error} {f'Pinned were {done}.' if added else 'Nothing was pinned.'}") from error

        def report() -> None:
            for pin, before in added:
                print(printable(f"{pin.title}: {_describe(pin, before)}"))
                if missing := [each.title for each in pin.artifacts if not inventory.is_there(each)]:
                    print(f"  not there: {', '.join(missing)}. `doit` makes what is missing.")

        return int(not print_work(report, f"pinned: {', '.join(printable(pin.title) for pin in new)}"))


class Unpin(StoreCommand):
    """`doit unpin`."""

    doc_purpose = "let `doit gc` delete what was pinned"
    doc_usage = "VIDEO|TASK|KEY ..."
    doc_description = """\
Takes pins away, and deletes nothing. The name of a video means all pins that were made under it, and that of what it
is now. `doit pins` lists them.
"""
    cmd_options = (DEBUG,)
    takes_names = True
    takes_parameters = True

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:  # noqa: ARG002
        """Take them away, or none when a name is that of no pin; 0."""
        if not names:
            raise ParamsError("doit unpin: name what to unpin. `doit pins` lists what is pinned.")
        pins = Pins(build.store.root)
        names = [video for name in names for video in build.graph.sweeps.get(name, (name,))]
        known = pins.read()
        found = {pin.artifact: pin for name in names for pin in _find_pins(build, known, name)}
        require_writable(build.store.root)
        removed = [pin for pin in found.values() if pins.remove(pin)]

        def report() -> None:
            for pin in removed:
                note = f", {cut(pin.note, _MAX_NOTE)!r}" if pin.note else ""
                print(printable(f"{pin.title}: unpinned: {pin.artifact.title}{note}."))

        return int(not print_work(report, f"unpinned: {', '.join(printable(pin.title) for pin in removed)}"))


class PinsCommand(StoreCommand):
    """`doit pins`."""

    name = "pins"
    doc_purpose = "list what is pinned"
    doc_usage = "[--json]"
    doc_description = """\
Lists pins: what, its note, by whom, since when, and the bytes of all that it keeps. Artifacts that several pins keep
are counted in each. Long notes are cut; --json prints all of them, and times in UTC.
"""
    cmd_options = (JSON, DEBUG)

    def act(self, build: Build, options: Mapping[str, Any], names: Sequence[str]) -> int:  # noqa: ARG002
        """Print them; 0."""
        pins, inventory = Pins(build.store.root).read(), take_inventory(build.store.root)
        if options["json"]:
            print(json.dumps([{**asdict(pin), "bytes": _size(inventory, pin)} for pin in pins], indent=2))
        elif not pins:
            print("nothing is pinned.")
        else:
            rows = [(*_texts(pin), show_bytes(_size(inventory, pin))) for pin in pins]
            print_table(("video", "artifact", "note", "by", "since", "bytes"), rows, num_texts=5)
        return 0


def _texts(pin: Pin) -> tuple[str, ...]:
    """A row of the table: what is longer than a line of it stands in full in `doit pins --json`."""
    note, by = cut(printable(pin.note), _MAX_NOTE), cut(printable(pin.by), _MAX_NOTE)
    return pin.name, pin.artifact.title, note, by, local_time(pin.since)


def _describe(pin: Pin, before: Pin | None) -> str:
    what = f"{pin.artifact.title} and what it is made from."
    if before is None:
        return f"pinned: {what}"
    note = "; its note is changed" if pin.note not in ("", before.note) else ""
    return f"pinned already, by {before.by} since {local_time(before.since)}{note}: {what}"


def _pin(build: Build, inventory: Inventory, name: str, note: str) -> Pin:
    """The pin of what a name means. Raises StagesError: nothing, more than one thing, or a video with a fault."""
    if name in build.graph.faults:
        raise build.graph.faults[name]
    if name in build.graph.videos:
        *before, last = (node.artifact for node in build.graph.videos[name].values())
        return Pin(last, tuple(before), name=_pinned_as(build, name), note=note, **who_and_when())
    artifact = _find_artifact(build, name)
    made_from = inventory.ancestors([artifact])
    for nodes in build.graph.videos.values():  # one that is not there yet has no manifest that says it
        by_artifact = {node.artifact: node for node in nodes.values()}
        waiting = [artifact] if artifact in by_artifact else []
        while waiting:
            each = waiting.pop()
            made_from.add(each)
            waiting += by_artifact[each].input_artifacts
    in_order = sorted(made_from - {artifact}, key=lambda each: (each.stage, each.key))
    return Pin(artifact, tuple(in_order), note=note, **who_and_when())


def _pinned_as(build: Build, name: str) -> str:
    """The name of a video's pin: a draft's is another one."""
    return name_draft(name) if build.is_draft else name


def _find_artifact(build: Build, name: str) -> ArtifactId:
    """The artifact of a task's name or a key, or of the beginning of one, in the store or of the present videos."""
    stage, colon, key = name.rpartition(":")
    known = {artifact for _, artifact in list_artifacts(build.store.root)}
    known |= {node.artifact for node in build.graph.all_nodes()}
    found = [each for each in known if each.key.startswith(key) and (not colon or each.stage == stage)]
    if len(key) < _MIN_KEY or not found:
        names = [*build.graph.videos, *(each.title for each in known)]
        raise ParamsError(
            f"{name}: no such video, task or key.{near(name, names)} `doit list --all` and "
            "`doit gc --dry-run` name them."
        )
    if len(found) > 1:
        raise ParamsError(f"{name}: means {len(found)} artifacts: {', '.join(sorted(each.title for each in found))}.")
    return found[0]


def _find_pins(build: Build, pins: Sequence[Pin], name: str) -> Sequence[Pin]:
    """The pins that a name means. Raises StoreError: there is none."""
    artifacts = {
        nodes[build.pipeline.last.name].artifact for video, nodes in build.graph.videos.items() if video == name
    }
    stage, colon, key = name.rpartition(":")
    found = [
        pin
        for pin in pins
        if pin.name == _pinned_as(build, name)
        or pin.artifact in artifacts
        or (len(key) >= _MIN_KEY and pin.artifact.key.startswith(key) and (not colon or pin.artifact.stage == stage))
    ]
    if not found:
        known = [printable(each) for pin in pins for each in (pin.name, pin.artifact.title) if each]
        raise StoreError(f"{name}: is not pinned.{near(name, known)} `doit pins` lists what is.")
    return found


def _size(inventory: Inventory, pin: Pin) -> int:
    """Bytes of all that a pin keeps."""
    kept = inventory.ancestors(pin.artifacts)
    return sum(inventory.entries[each].size_bytes for each in kept if each in inventory.entries)
