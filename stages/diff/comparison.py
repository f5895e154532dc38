"""Compares two things stage by stage: what made them, and what was made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from stages.diff.frame_difference import FrameDifference, finite, measure_frame_files
from stages.diff.side import Payload, Side
from stages.errors import ParamsError
from stages.explain.reasons import CODE, KEY, list_differences
from stages.keys import JsonValue, Node
from stages.pipeline.contracts import FRAMES
from stages.pipeline.stages import Pipeline
from stages.provenance.project import Project
from stages.provenance.record import Made, Record
from stages.run.measuring import Differences, measure_payloads
from stages.store.verdict import Reason

# Of the bytes that a stage has made; "unknown" where one of the two is not known, or only one has such a stage.
Outcome: TypeAlias = Literal["equal", "other", "unknown"]
ONLY = "only"  # field of the reason that only one of the two has such a stage
OTHER_KEY = "other_key"  # field of the reason that a node has another key by the code of another revision (gate.py)
VERSION = "version."  # how the field of a reason begins that is about a library's version


@dataclass(frozen=True)
class StageDifference:
    """What differs in one stage.

    Attributes:
        stage: its name.
        reasons: parameters, components, code and versions that differ; of `before` the first, of `now` the second.
        outcome: of the bytes that were made.
        values: how far that is apart, of each tensor or of the pictures of a video; nothing of frames.
        frames: how far frames are apart.
        note: why nothing was measured, in words; "" where something was, or where bytes are equal.
    """

    stage: str
    reasons: tuple[Reason, ...]
    outcome: Outcome
    values: Differences = field(default_factory=dict)
    frames: FrameDifference | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """A stage of `doit diff --json`. Its fields are an interface."""
        return {
            "stage": self.stage,
            "differences": [{"field": each.field, "first": each.before, "second": each.now} for each in self.reasons],
            "bytes": self.outcome,
            "values": {
                name: each if isinstance(each, str) else {what: finite(number) for what, number in each.items()}
                for name, each in self.values.items()
            },
            "frames": None if self.frames is None else self.frames.to_json(),
            "note": self.note,
        }


def compare(one: Side, other: Side, project: Project) -> list[StageDifference]:
    """Compare two things; of each stage what differs, in the order of the project's.

    Bytes are compared by the digests in the manifests, and files are read only where these differ.
    """
    names = dict.fromkeys([*(made.stage for made in one.record.made), *(made.stage for made in other.record.made)])
    order = {name: place for place, name in enumerate(project.pipeline.names)}
    found = []
    for name in sorted(names, key=lambda name: order.get(name, len(order))):
        records = one.record, other.record
        reasons = tuple(_list_reasons(name, records, project.pipeline))
        payloads = one.payloads.get(name), other.payloads.get(name)
        made = one.record.of_stage(name)
        found.append(
            compare_payloads(
                name,
                reasons,
                payloads,
                parameters=made.parameters if made else {},
                pipeline=project.pipeline,
                root=project.root,
            )
        )
    return found


def _list_reasons(stage: str, records: tuple[Record, Record], pipeline: Pipeline) -> Iterator[Reason]:
    one, other = (record.of_stage(stage) for record in records)
    if one is None or other is None:
        yield Reason(ONLY, None if one is None else one.key, None if other is None else other.key)
        return
    if stage in pipeline.names:
        told = {made.stage for made in records[0].made} & {made.stage for made in records[1].made}
        nodes = _node(one, records[0], pipeline), _node(other, records[1], pipeline)
        for reason in list_differences(*nodes, pipeline[stage]):
            if reason.field.removeprefix(KEY) not in told:  # else it stands at that stage
                yield reason
    elif one.key != other.key:
        yield Reason(f"{KEY}{stage}", one.key, other.key)
    if one.code is not None and other.code is not None and one.code != other.code:
        yield Reason(CODE, one.code, other.code)
    yield from _list_versions(one, other)


def _list_versions(one: Made, other: Made) -> Iterator[Reason]:
    """The libraries whose versions differ; nothing where those of one of the two are not known."""
    before, now = ((made.run or {}).get("versions") for made in (one, other))
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                yield Reason(f"{VERSION}{name}", before.get(name), now.get(name))


def _node(made: Made, record: Record, pipeline: Pipeline) -> Node:
    """A stage as a node, with the keys of what it reads as far as they are known."""
    stage, keys = pipeline[made.stage], {each.stage: each.key for each in record.made}
    producers = () if stage.is_from_file(made.parameters) else pipeline.producers(stage).values()
    inputs = {producer.name: keys[producer.name] for producer in producers if producer.name in keys}
    return Node(made.stage, made.parameters, made.components, inputs)


def compare_payloads(
    stage: str,
    reasons: tuple[Reason, ...],
    payloads: tuple[Payload | None, Payload | None],
    *,
    parameters: Mapping[str, JsonValue],
    pipeline: Pipeline,
    root: Path,
) -> StageDifference:
    """Compare what one stage has made twice; None is a stage that one of the two does not have.

    Args:
        stage: its name.
        reasons: why it may differ.
        payloads: what was made.
        parameters: of the first, which say by which program.
        pipeline: of the project.
        root: the project's folder.
    """
    first, second = payloads
    if first is None or second is None:
        return StageDifference(stage, reasons, "unknown")
    if first.digest is not None and first.digest == second.digest:
        return StageDifference(stage, reasons, "equal")
    outcome: Outcome = "unknown" if first.digest is None or second.digest is None else "other"
    if first.path is None or second.path is None:
        return StageDifference(stage, reasons, outcome, note=_explain_absence(first, second))
    files = first.path, second.path
    try:
        declared = pipeline[stage]
        program = declared.program_of(parameters)
    except (KeyError, ParamsError):  # of another version, or another project
        return StageDifference(stage, reasons, outcome, note="nothing here measures what it makes")
    if declared.makes.tensors == FRAMES.tensors:
        frames, fault = measure_frame_files(files, root)
        return StageDifference(stage, reasons, outcome, frames=frames, note=fault)
    values, fault = measure_payloads(declared, program, files, root)
    return StageDifference(stage, reasons, outcome, values, note=fault)


def _explain_absence(first: Payload, second: Payload) -> str:
    """Why nothing can be measured."""
    if first.absence == second.absence:
        return f"both: {first.absence}" if first.absence else ""
    parts = (("the first", first.absence), ("the second", second.absence))
    return "; ".join(f"{name}: {absence}" for name, absence in parts if absence)
