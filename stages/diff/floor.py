"""What rounding alone changes: the same video with all its stages in bfloat16, beside it in float32.

Both have to be in the store: nothing is made here. See docs/decisions/0038-differences.md.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stages.diff.comparison import StageDifference, compare
from stages.diff.side import Side, payload_of
from stages.keys import Key, Node
from stages.provenance.project import Project
from stages.provenance.record import Made, Record
from stages.request.params import VIDEO_NAME

_DTYPE: Final = "dtype"  # the parameter of each stage that computes
_DTYPES: Final = "float32", "bfloat16"


@dataclass(frozen=True)
class Floor:
    """What was found.

    Attributes:
        name: of whose video this is.
        stages: what differs between the two dtypes, of the stages of which both are there.
        missing: dtypes in which some stage is not there.
        command: what makes it in these.
    """

    name: str
    stages: Sequence[StageDifference]
    missing: Sequence[str]
    command: str

    def of_stage(self, stage: str) -> StageDifference | None:
        """What differs in one stage."""
        return next((each for each in self.stages if each.stage == stage), None)

    def describe(self) -> Iterator[str]:
        """What the numbers are, and what is not there."""
        if self.stages:
            yield f"floor: what differs between float32 and bfloat16 in the same video, {self.name}"
        if self.missing:
            absent = " and ".join(self.missing)
            yield f"floor: not all is in the store of {self.name} in {absent}. For the cost of that video:"

    def to_json(self) -> dict[str, Any]:
        """The same for scripts."""
        return {"stages": [each.to_json() for each in self.stages], "missing": [*self.missing], "make": self.command}


def find_floor(side: Side, project: Project) -> Floor:
    """The difference that the dtype makes in a video, as far as the store has it in both."""
    one, other = (_in_dtype(side, dtype, project) for dtype in _DTYPES)
    present = [
        made.stage
        for made in side.record.made
        if all(made.stage in each.payloads and each.payloads[made.stage].path is not None for each in (one, other))
    ]
    found = [each for each in compare(one, other, project) if each.stage in present]
    missing = [
        dtype
        for dtype, each in zip(_DTYPES, (one, other), strict=True)
        if any(each.payloads[stage].path is None for stage in _measured(side))
    ]
    return Floor(side.name, found, missing, _command(side, missing))


def _measured(side: Side) -> list[str]:
    """The stages of whose results there are numbers: all but the video, which is another file with each encoder."""
    return [made.stage for made in side.record.made if _DTYPE in made.parameters]


def _in_dtype(side: Side, dtype: str, project: Project) -> Side:
    """The same with all its stages in one dtype."""
    keys: dict[str, Key] = {}
    made: list[Made] = []
    for each in side.record.made:
        parameters = {**each.parameters, **({_DTYPE: dtype} if _DTYPE in each.parameters else {})}
        stage = project.pipeline[each.stage] if each.stage in project.pipeline.names else None
        producers = (
            () if stage is None or stage.is_from_file(parameters) else project.pipeline.producers(stage).values()
        )
        inputs = {producer.name: keys[producer.name] for producer in producers if producer.name in keys}
        keys[each.stage] = Node(each.stage, parameters, each.components, inputs).key
        made.append(Made(each.stage, keys[each.stage], parameters, each.components, each.code))
    record = Record(side.name, side.record.what, side.record.origin, made)
    return Side(side.name, record, {each.stage: payload_of(each, [project.store]) for each in made})


def _command(side: Side, missing: Sequence[str]) -> str:
    """What makes the video in the dtypes that are missing."""
    commands = []
    for dtype in missing:
        source = side.record.made[-1]
        is_video = VIDEO_NAME.fullmatch(side.name) is not None
        name = f"{side.name if is_video else source.key[:8]}-{dtype}"
        changes = [f"{stage}.{_DTYPE}={dtype}" for stage in _measured(side)]
        origin = side.name if is_video else source.artifact.title
        commands += [shlex.join(["doit", "from", origin, *changes, "--as", name]), f"doit {name}"]
    return " && ".join(commands)
