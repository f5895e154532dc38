"""The process that makes previews: latents come in on stdin, what was written is said on stdout.

It is a process of its own so that the denoise waits for nothing: it has no device and the lowest priority, and what
fails in it costs pictures alone. The other half is stages/run/previews.py; what goes between the two is in
stages/run/preview_messages.py.
"""

import math
import sys
import time
from collections.abc import Mapping
from typing import BinaryIO, TextIO

import numpy as np
from jaxtyping import Float

from stages.errors import StagesError
from stages.models.checkpoint import component_identity
from stages.pipeline.decode import VAE
from stages.previews.color_map import ColorMap, paint_gray
from stages.previews.estimate import estimate_clean
from stages.previews.maps import find_map
from stages.previews.pictures import encode_animation, encode_strip
from stages.run.preview_messages import Answer, Moment, Subject
from stages.store.previews import ANIMATION, STRIP, link_previews, preview_folder
from stages.store.replace_file import write_file
from stages.store.sharing import make_folder
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.tensors.dtypes import DTYPES


def main() -> None:
    """Serve until stdin ends."""
    serve(sys.stdin.buffer, sys.stdout)


def serve(source: BinaryIO, answers: TextIO) -> None:
    """Make a preview of each moment that comes."""
    first = source.readline()
    if not first:
        return
    subject, painter = Subject.from_json(first), None
    for line in iter(source.readline, b""):
        moment = Moment.from_json(line)
        clean = _read_clean(moment, source)
        fault, began_s = "", time.process_time()
        try:
            if painter is None:
                painter, began_s = _Painter(subject), time.process_time()
            if not np.isfinite(clean).all():
                raise ValueError("its latents are not finite")
            painter.write(clean, moment)
        except (OSError, StagesError, ValueError) as error:
            fault = _explain(error)
        ended_s = time.process_time()
        answers.write(Answer(ended_s, ended_s - began_s, fault).to_json() + "\n")
        answers.flush()


def _read_clean(moment: Moment, source: BinaryIO) -> Float[np.ndarray, "c f h w"]:
    """Read the latents that follow, and estimate what they are about to become; float32."""
    dtype = DTYPES[moment.dtype]
    size_bytes = math.prod(moment.shape) * dtype.itemsize
    found = [np.frombuffer(source.read(size_bytes), dtype).reshape(moment.shape)[0] for _ in moment.sigmas]
    return estimate_clean(found[0], found[-1], sigma_before=moment.sigmas[0], sigma_after=moment.sigmas[-1])


class _Painter:
    """Paints previews of one denoise, in the colours of its VAE where they are known."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        identity = component_identity(subject.checkpoint, VAE, StatCache(subject.store / STAT_CACHE))
        self._map: ColorMap | None = find_map(subject.store, identity)

    def write(self, clean: Float[np.ndarray, "c f h w"], moment: Moment) -> None:
        """Put the files and links of a preview in the place of those before. Raises OSError."""
        pictures = paint_gray(clean) if self._map is None else self._map.paint(clean)
        share_done = moment.num_done / moment.num_steps
        files: Mapping[str, bytes] = {
            ANIMATION: encode_animation(pictures, share_done=share_done),
            STRIP: encode_strip(pictures, share_done=share_done),
        }
        folder = preview_folder(self._subject.store, self._subject.artifact)
        make_folder(folder, self._subject.store)
        for name, content in files.items():
            write_file(folder / name, content, is_synced=False)
        link_previews(self._subject.store, self._subject.videos, self._subject.artifact)


def _explain(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error)
