"""How far the pictures of two videos are from each other: `python -m stages.export.difference ONE OTHER` prints JSON.

As stages/tensors/difference.py for tensors.
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from stages.tensors.difference import Found, measure, print_found

_LEVELS: Final = 255.0  # of a colour, from black to full


def measure_videos(one: Path, other: Path) -> Found:
    """The difference of two videos' pictures, decoded to red, green and blue, 0..255, under the name "frames".

    Raises:
        av.FFmpegError: one is no video that can be read.
    """
    counts = [0, 0]
    shapes: set[tuple[int, ...]] = set()

    def pair() -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        for first, second in itertools.zip_longest(_decode(one), _decode(other)):
            for index, picture in enumerate((first, second)):
                if picture is not None:
                    counts[index] += 1
                    shapes.add(picture.shape)
            if first is not None and second is not None and len(shapes) == 1:
                yield first, second

    found = measure(pair(), _LEVELS)
    if counts[0] != counts[1]:
        return {"frames": f"{counts[0]} and {counts[1]} of them"}
    if len(shapes) > 1:
        sizes = " and ".join(f"{width}x{height}" for height, width, _ in sorted(shapes))
        return {"frames": f"of different size: {sizes}"}
    return {"frames": found}


class NoVideoError(Exception):
    """A file has no pictures."""


def _decode(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a video, each [height, width, 3], uint8."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise NoVideoError
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


if __name__ == "__main__":
    try:
        print_found(measure_videos(Path(sys.argv[1]), Path(sys.argv[2])))
    except av.FFmpegError as error:
        sys.exit(f"no video that can be read ({error.strerror})")
    except NoVideoError:
        sys.exit("no video that can be read (it has sound or data alone)")
