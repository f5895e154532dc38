"""What the report says of a video: plain values, found by gathering.py and shown by pages.py."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from stages.history.runs import PastRun
from stages.keys import ArtifactId, Digest, JsonValue

DRAFT = ".draft"  # ends the name of a draft, which no other video's has
_NUMBERS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class Step:
    """One artifact of the chain that ends in a video.

    Attributes:
        artifact: which it is.
        parameters: of its stage, those that its key leaves out as neutral, too.
        components: identities of what it read of the checkpoint.
        code: fingerprint of the code that made it.
        size_bytes: of its payload.
        is_there: whether the payload is.
        recorded_from: the remote store that has it, of one whose payload was never here; else "".
        run: what making it took; None where that is not known.
    """

    artifact: ArtifactId
    parameters: Mapping[str, JsonValue]
    components: Mapping[str, str]
    code: Digest
    size_bytes: int
    is_there: bool
    recorded_from: str
    run: PastRun | None


@dataclass(frozen=True)
class VideoFacts:
    """What a video's file says of itself: frames, frames per second, pixels, codec; and the frames of its strip."""

    num_frames: int
    fps: Fraction
    width: int
    height: int
    codec: str
    shown: tuple[int, ...]

    @property
    def duration_s(self) -> float:
        """Of the whole video."""
        return float(self.num_frames / self.fps)


@dataclass(frozen=True)
class ShownVideo:
    """A video of the report.

    Attributes:
        name: of its link, without what ends it; of a draft with DRAFT.
        file: the mp4 in the store.
        digest: of its bytes.
        size_bytes: of the file.
        steps: what it is made of, in the order of the stages.
        prompt: "" where it is not known.
        parameters: of all steps, by dotted name; components as `model.<name>`.
        sweep: the sweep of the present parameters that it is part of; "" where it is none's.
        differences: what differs in the sweep, by dotted name.
        is_current: whether the present parameters ask for this very artifact; None of a draft, of which it is unknown.
        is_in_project: whether the project has a video of its name, or of that of its final.
        next_state: how far the video is that they ask for instead, as UnmadeVideo.state; "" where there is none.
        facts: None where the file cannot be read.
        preview: animation of what the denoise was about to become; None where there is none.
    """

    name: str
    file: Path
    digest: Digest
    size_bytes: int
    steps: tuple[Step, ...]
    prompt: str
    parameters: Mapping[str, JsonValue]
    sweep: str
    differences: Mapping[str, JsonValue] = field(default_factory=dict)
    is_current: bool | None = None
    is_in_project: bool = True
    next_state: str = ""
    facts: VideoFacts | None = None
    preview: Path | None = None

    @property
    def artifact(self) -> ArtifactId:
        """The video itself."""
        return self.steps[-1].artifact

    @property
    def is_draft(self) -> bool:
        """Whether `doit draft` made it."""
        return self.name.endswith(DRAFT)

    @property
    def of(self) -> str:
        """The video that a draft is of; of any other its own name."""
        return self.name.removesuffix(DRAFT)


@dataclass(frozen=True)
class UnmadeVideo:
    """A video that the present parameters ask for and that nobody has made under its name yet.

    Attributes:
        name, prompt, parameters, sweep, differences, preview: as of a ShownVideo.
        state: how far it is, such as "denoise runs now".
        is_running: whether a stage of it is at work.
    """

    name: str
    prompt: str
    parameters: Mapping[str, JsonValue]
    sweep: str
    differences: Mapping[str, JsonValue]
    state: str
    is_running: bool
    preview: Path | None = None


@dataclass(frozen=True)
class Shown:
    """All that the report shows.

    Attributes:
        title: of the report: the name of the project's folder.
        videos: by their names.
        unmade: those that are not made yet, by their names.
        sweeps: by name, by that of each of its videos, what differs: values by dotted name.
        faults: what could not be shown, a sentence each.
    """

    title: str
    videos: Mapping[str, ShownVideo]
    unmade: Mapping[str, UnmadeVideo]
    sweeps: Mapping[str, Mapping[str, Mapping[str, JsonValue]]]
    faults: tuple[str, ...] = ()

    @property
    def cards(self) -> Sequence[ShownVideo | UnmadeVideo]:
        """All of them, by name."""
        both: dict[str, ShownVideo | UnmadeVideo] = {**self.videos, **self.unmade}
        return [both[name] for name in sorted(both, key=sort_key)]


def sort_key(name: str) -> list[tuple[int, str]]:
    """By which names are in order: harbour-2 before harbour-10, and a draft after its final video."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBERS.split(name)]
