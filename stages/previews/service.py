"""The process that makes previews: latents come in on stdin, what was written is said on stdout.

It is a process of its own so that the denoise waits for nothing: it has no device and the lowest priority, and what
fails in it costs pictures alone. The other half is stages/run/previews.py. First comes a line of JSON that says what is
denoised (`Work`); then for each preview a line (`Moment`) and the latents' bytes. For each, a line goes out: the
seconds of a processor that all of them and this one have cost, and why nothing could be written, if so.
"""

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np
from jaxtyping import Float

from stages.errors import StagesError
from stages.keys import ArtifactId, JsonValue
from stages.models.checkpoint import Checkpoint, component_identity
from stages.pipeline.decode import VAE
from stages.previews.color_map import ColorMap, paint_gray
from stages.previews.estimate import estimate_clean
from stages.previews.maps import find_map
from stages.previews.pictures import encode_animation, encode_strip
from stages.store.previews import ANIMATION, STRIP, link_previews, preview_folder
from stages.store.replace_file import write_file
from stages.store.sharing import make_folder
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.tensors.dtypes import DTYPES


@dataclass(frozen=True)
class Work:
    """What is denoised.

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

    @staticmethod
    def from_json(line: bytes) -> "Work":
        """The inverse of what the other half writes."""
        fields: dict[str, Any] = json.loads(line)
        return Work(
            Path(fields["store"]),
            ArtifactId(**fields["artifact"]),
            fields["videos"],
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

    def read_clean(self, source: BinaryIO) -> Float[np.ndarray, "c f h w"]:
        """Read the latents that follow, and estimate what they are about to become; float32."""
        dtype = DTYPES[self.dtype]
        size_bytes = math.prod(self.shape) * dtype.itemsize
        found = [np.frombuffer(source.read(size_bytes), dtype).reshape(self.shape)[0] for _ in self.sigmas]
        return estimate_clean(found[0], found[-1], sigma_before=self.sigmas[0], sigma_after=self.sigmas[-1])


def main() -> None:
    """Serve until stdin ends."""
    serve(sys.stdin.buffer, sys.stdout)


def serve(source: BinaryIO, answers: TextIO) -> None:
    """Make a preview of each moment that comes."""
    first = source.readline()
    if not first:
        return
    work, painter = Work.from_json(first), None
    for line in iter(source.readline, b""):
        moment = Moment(**json.loads(line))
        clean = moment.read_clean(source)
        answer: dict[str, JsonValue] = {}
        began_s = time.process_time()
        try:
            if painter is None:
                painter, began_s = _Painter(work), time.process_time()
            if not np.isfinite(clean).all():
                raise ValueError("its latents are not finite")
            painter.write(clean, moment)
        except (OSError, StagesError, ValueError) as error:
            answer["fault"] = _explain(error)
        ended_s = time.process_time()
        answers.write(json.dumps({"cpu_s": ended_s, "last_cpu_s": ended_s - began_s, **answer}) + "\n")
        answers.flush()


class _Painter:
    """Paints previews of one denoise, in the colours of its VAE where they are known."""

    def __init__(self, work: Work) -> None:
        self._work = work
        identity = component_identity(work.checkpoint, VAE, StatCache(work.store / STAT_CACHE))
        self._map: ColorMap | None = find_map(work.store, identity)

    def write(self, clean: Float[np.ndarray, "c f h w"], moment: Moment) -> None:
        """Put the files and links of a preview in the place of those before. Raises OSError."""
        pictures = paint_gray(clean) if self._map is None else self._map.paint(clean)
        share_done = moment.num_done / moment.num_steps
        files: Mapping[str, bytes] = {
            ANIMATION: encode_animation(pictures, share_done=share_done),
            STRIP: encode_strip(pictures, share_done=share_done),
        }
        folder = preview_folder(self._work.store, self._work.artifact)
        make_folder(folder, self._work.store)
        for name, content in files.items():
            write_file(folder / name, content, is_synced=False)
        link_previews(self._work.store, self._work.videos, self._work.artifact)


def _explain(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error)
