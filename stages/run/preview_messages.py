"""What goes between a denoise and the process that makes previews of it: lines of JSON, and bytes of latents.

First comes a line that says what is denoised (`Subject`). Then for each preview a line (`Moment`) and the latents'
bytes, one array after the other; for each of these a line comes back (`Answer`).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.keys import ArtifactId
from stages.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Subject:
    """What previews are of.

    Attributes:
        store: root folder of the artifact store.
        artifact: that is being made.
        videos: names of those that need it.
        checkpoint: whose VAE will decode it.
    """

    store: Path
    artifact: ArtifactId
    videos: Sequence[str]
    checkpoint: Checkpoint

    def to_json(self) -> str:
        """As one line, without its end."""
        return json.dumps(asdict(self), default=str)

    @staticmethod
    def from_json(line: str | bytes) -> "Subject":
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(line)
        return Subject(
            Path(fields["store"]),
            ArtifactId(**fields["artifact"]),
            tuple(fields["videos"]),
            Checkpoint.from_fields(fields["checkpoint"]),
        )


@dataclass(frozen=True)
class Moment:
    """Where a denoise is.

    Attributes:
        num_done, num_steps: steps.
        sigmas: shares of noise of the latents that follow: of some steps before, and of now; or of now alone, where it
            is 0.
        shape: of each of these latents, [1, c, f, h, w].
        dtype: of them, such as "bfloat16".
    """

    num_done: int
    num_steps: int
    sigmas: Sequence[float]
    shape: Sequence[int]
    dtype: str

    def to_json(self) -> str:
        """As one line, without its end."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(line: str | bytes) -> "Moment":
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(line)
        return Moment(**{**fields, "sigmas": tuple(fields["sigmas"]), "shape": tuple(fields["shape"])})


@dataclass(frozen=True)
class Answer:
    """What has become of a preview.

    Attributes:
        cpu_s: seconds of a processor that all of them have cost.
        last_cpu_s: this one alone, without what is needed once.
        fault: why it could not be written; "" if it was.
    """

    cpu_s: float
    last_cpu_s: float
    fault: str = ""

    def to_json(self) -> str:
        """As one line, without its end."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(line: str | bytes) -> "Answer":
        """The inverse of `to_json`. Raises ValueError: it is none."""
        try:
            fields: dict[str, Any] = json.loads(line)
            return Answer(float(fields["cpu_s"]), float(fields["last_cpu_s"]), str(fields["fault"]))
        except (KeyError, TypeError) as error:
            raise ValueError("their process has said something else than an answer") from error
