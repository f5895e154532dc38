"""What the answers of `doit preflight` mean: rows of its table, and settings that may fit where a program does not.

Owns the form of `--json`. Loads nothing heavy.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.chips import chip_of_device
from stages.contracts import PREFLIGHT
from stages.errors import StoreError
from stages.geometry import TEMPORAL_COMPRESSION
from stages.keys import JsonValue
from stages.params import MachineParams, VideoParams
from stages.preflight_questions import Question
from stages.store import RUN, Store

GIB = 2**30
_AUTO = "auto"
# Of the memory that an estimate may fill: what grows with the video is not quite proportional to its length.
_ROOM = 0.97


@dataclass(frozen=True)
class Row:
    """The answer to a question, and the videos that ask it.

    Attributes:
        figures: the payload; stages/preflight/figures.py says what is in it.
        run: run.json: seconds that it took to compile.
        ways_out: of a program that does not fit: what was compiled with other settings, and fits.
    """

    question: Question
    videos: tuple[str, ...]
    figures: Mapping[str, Any]
    run: Mapping[str, Any]
    ways_out: "tuple[WayOut, ...]" = ()

    @property
    def fits(self) -> bool:
        """Whether the program can run."""
        return bool(self.figures["fits"])

    @property
    def total_bytes(self) -> int:
        """Of a device's memory."""
        return sum(self.figures["memory"].values())

    @property
    def least_s(self) -> float | None:
        """Seconds that a run cannot stay below: arithmetic at the chips' peak, or weights and state read once a call.

        None for devices whose peak is not known.
        """
        chip = chip_of_device(self.figures["device_kind"])
        if chip is None:
            return None
        arithmetic_s = self.figures["flops"] / self.figures["num_devices"] / chip.peak_flops
        memory_s = (self.figures["memory"]["weights"] + self.figures["memory"]["state"]) / chip.hbm_bandwidth
        return self.question.num_calls * max(arithmetic_s, memory_s)

    def to_json(self) -> dict[str, JsonValue]:
        """The row of `doit preflight --json`. Its fields are an interface; sizes are per chip, in GiB."""
        memory = self.figures["memory"]
        return {
            "stage": self.question.stage,
            "tokens": self.question.num_tokens,
            "weights_gib": _gib(memory["weights"]),
            "state_gib": _gib(memory["state"]),
            "temporaries_gib": _gib(memory["temporaries"]),
            "total_gib": _gib(self.total_bytes),
            "limit_gib": _gib(self.figures["limit_bytes"]),
            "fits": self.fits,
            "flops": self.figures["flops"],
            "compile_s": self.run["compile_s"],
            "videos": [*self.videos],
            "device_kind": self.figures["device_kind"],
            "num_devices": self.figures["num_devices"],
            "mesh": self.figures["mesh"],
            "num_calls": self.question.num_calls,
            "least_s": self.least_s,
            "collectives": self.figures["collectives"],
            "ways_out": [{"setting": way.setting, "total_gib": _gib(way.total_bytes)} for way in self.ways_out],
        }


@dataclass(frozen=True)
class WayOut:
    """A setting, as it is written on the command line, with which a program fits, and its bytes on a device then."""

    setting: str
    total_bytes: int


@dataclass(frozen=True)
class Change:
    """Other settings: as they are written on the command line, and what they make of a video and of the machine's."""

    setting: str
    video: VideoParams
    machine: MachineParams


def read_answer(store: Store, question: Question, videos: tuple[str, ...]) -> Row:
    """The answer to a question that has one in the store.

    Raises:
        StoreError: its files are damaged.
    """
    figures = store.payload(PREFLIGHT, question.node.key)
    return Row(question, videos, _read_json(figures), _read_json(figures.with_name(RUN)))


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}). Delete {path.parent}; it is made again.") from error
    return content


def propose(row: Row, video: VideoParams, machine: MachineParams) -> Iterator[Iterator[Change]]:
    """Ways out for a program that does not fit.

    They are estimates, to be compiled before anybody is told.

    Yields:
        A way each: changes of one parameter, the nearest to what was asked for first.
    """
    if row.question.stage == "denoise" and machine.mesh != _AUTO:
        yield iter([Change("machine.mesh=auto", video, machine.model_copy(update={"mesh": _AUTO}))])
    if row.question.stage == "decode" and not video.decode.enable_tiling:
        tiled = video.decode.model_copy(update={"enable_tiling": True})
        yield iter([Change("decode.enable_tiling=true", video.model_copy(update={"decode": tiled}), machine)])
    if not video.file_of_stage("denoise"):
        yield _shorten(row, video, machine)


def _shorten(row: Row, video: VideoParams, machine: MachineParams) -> Iterator[Change]:
    """Fewer frames: the most that fit if all but the weights grows with the latent frames, then ever fewer."""
    memory = row.figures["memory"]
    present = (video.denoise.num_frames - 1) // TEMPORAL_COMPRESSION + 1
    room = row.figures["limit_bytes"] * _ROOM - memory["weights"]
    num_latent = min(int(present * room / (memory["state"] + memory["temporaries"])), present - 1)
    while num_latent >= 1:
        num_frames = (num_latent - 1) * TEMPORAL_COMPRESSION + 1
        denoise = video.denoise.model_copy(update={"num_frames": num_frames})
        yield Change(f"denoise.num_frames={num_frames}", video.model_copy(update={"denoise": denoise}), machine)
        num_latent = min(int(num_latent * _ROOM), num_latent - 1)


def _gib(size_bytes: int) -> float:
    return round(size_bytes / GIB, 3)
