"""What a store's pictures of videos say; those that are missing are painted by processes beside this one."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Final

from stages.errors import StageError
from stages.keys import Digest
from stages.machine.json_files import read_json
from stages.report.shown import VideoFacts
from stages.store.posters import FACTS, has_pictures, poster_folder
from stages.store.sharing import make_folder

_COMMAND: Final = (sys.executable, "-m", "stages.report")
_PER_PROCESS: Final = 16  # videos for whose sake a further process is worth its start


def paint_posters(root: Path, videos: Mapping[Digest, Path]) -> Mapping[Digest, str]:
    """Paint what is missing.

    Args:
        root: the store's folder.
        videos: the video files, by the digests of their bytes.
    Returns:
        Of each video that cannot be painted, why.
    Raises:
        OSError: the store cannot be written.
    """
    missing = {digest: file for digest, file in videos.items() if read_facts(root, digest) is None}
    for digest in missing:
        make_folder(poster_folder(root, digest), root)
    items = [*missing.items()]
    count = min(os.cpu_count() or 1, -(-len(items) // _PER_PROCESS))
    with ThreadPoolExecutor(max(count, 1)) as pool:
        found = [*pool.map(lambda part: _paint(root, part), [items[start::count] for start in range(count)])]
    return {digest: why for part in found for digest, why in part.items()}


def read_facts(root: Path, digest: Digest) -> VideoFacts | None:
    """What was found in a video when it was painted; None where that, or a picture, is missing or was edited."""
    if not has_pictures(root, digest):
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = read_json(poster_folder(root, digest) / FACTS)
        num_frames, width, height = (int(found[name]) for name in ("num_frames", "width", "height"))
        fps, shown = Fraction(found["fps"]), tuple(map(int, found["shown"]))
        if num_frames > 0 and fps > 0 and shown:
            return VideoFacts(num_frames, fps, width, height, str(found["codec"]), shown)
    return None


def _paint(root: Path, videos: list[tuple[Digest, Path]]) -> dict[Digest, str]:
    orders = "".join(f"{json.dumps([str(file), str(poster_folder(root, digest))])}\n" for digest, file in videos)
    done = subprocess.run(  # noqa: S603 (this package's own program)
        _COMMAND, input=orders, capture_output=True, text=True, check=False
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) < len(videos) and not done.returncode < 0:
        raise StageError(f"python -m stages.report: ended with exit code {done.returncode}: {done.stderr.strip()}")
    faults = {digest: why for (digest, _), why in zip(videos, answers, strict=False) if why}
    if len(answers) < len(videos):  # a broken file took the process along; those after it have another
        (digest, _), *rest = videos[len(answers) :]
        faults[digest] = f"FFmpeg ended with signal {-done.returncode}"
        return {**faults, **(_paint(root, rest) if rest else {})}
    return faults
