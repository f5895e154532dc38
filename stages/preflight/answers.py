"""What the answers of `doit preflight` mean: rows of its table, and settings that may fit where a program does not.

Owns the form of `--json`. Loads nothing heavy.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.errors import StoreError
from stages.geometry import TEMPORAL_COMPRESSION
from stages.keys import JsonValue
from stages.machine.binary_units import GIB
from stages.machine.chips import chip_of_device
from stages.machine.json_files import read_json
from stages.machine.regular_files import reason_of
from stages.pipeline.decode import DecodeParams
from stages.pipeline.denoise import DenoiseParams
from stages.preflight.questions import Question
from stages.request.tables import MachineParams
from stages.request.video_params import VideoParams
from stages.store.artifacts import Store
from stages.store.manifest import RUN
from stages.store.usage import record_use

_AUTO = "auto"
# Of the memory that an estimate may fill: what grows with the video is not quite proportional to its length.
_ROOM = 0.97


@dataclass(frozen=True)
class Row:
    """The answer to a question, and the videos that it is for.

    Attributes:
        figures: the payload; stages/preflight/figures.py says what is in it. None when there is no answer.
        run: run.json: seconds that it took to compile or load.
        alternatives: of a program that does not fit: other settings with which it was compiled and fits.
        error: why there is no answer, or why no more settings were tried; "" when all went well.
        traceback: of that error, for --debug.
    """

    question: Question
    videos: tuple[str, ...]
    figures: Mapping[str, Any] | None
    run: Mapping[str, Any]
    alternatives: "tuple[Alternative, ...]" = ()
    error: str = ""
    traceback: str = ""

    @property
    def fits(self) -> bool:
        """Whether it is known that the program can run."""
        return self.figures is not None and bool(self.figures["fits"])

    @property
    def total_bytes(self) -> int | None:
        """What the program takes of a device's memory; None where the compiler did not come so far."""
        if self.figures is None or self.figures["memory"]["temporaries"] is None:
            return None
        return sum(self.figures["memory"].values())

    @property
    def least_s(self) -> float | None:
        """Seconds that a run cannot stay below: of each call the arithmetic at the chips' peak, or the reading.

        Read are weights and state, once a call; of the decoder's keys and values none is counted. None for devices
        whose peak is not known.
        """
        chip = chip_of_device(self.figures["device_kind"]) if self.figures else None
        if self.figures is None or chip is None:
            return None
        first_s, later_s = (
            max(work["flops"] / chip.peak_flops, work["read_bytes"] / chip.hbm_bandwidth)
            for work in (self.figures["first"], self.figures["later"])
        )
        return first_s + (self.question.num_calls - 1) * later_s

    @property
    def expected_s(self) -> float | None:
        """Seconds that a run takes by the compiler's schedule, each call as a later one; None where there is none."""
        expected = self.figures.get("expected") if self.figures else None
        return None if expected is None else self.question.num_calls * sum(expected.values())

    def to_json(self) -> dict[str, JsonValue]:
        """The row of `doit preflight --json`. Its fields are an interface; sizes are per device, in GiB."""
        figures = self.figures or {}
        memory = figures.get("memory", {})
        return {
            "stage": self.question.stage,
            "tokens": self.question.num_tokens,
            "topology": self.question.topology,
            "weights_gib": _gib(memory.get("weights")),
            "state_gib": _gib(memory.get("state")),
            "temporaries_gib": _gib(memory.get("temporaries")),
            "total_gib": _gib(self.total_bytes),
            "limit_gib": _gib(figures.get("limit_bytes")),
            "fits": self.fits,
            "refusal": figures.get("refusal"),
            "flops": figures.get("flops"),
            "compile_s": self.run.get("compile_s"),
            "was_loaded": self.run.get("was_loaded"),
            "videos": [*self.videos],
            "device_kind": figures.get("device_kind"),
            "num_devices": figures.get("num_devices"),
            "mesh": figures.get("mesh"),
            "num_calls": self.question.num_calls,
            "least_s": self.least_s,
            "expected_s": self.expected_s,
            "expected_of_call": figures.get("expected"),
            "collectives": figures.get("collectives"),
            "alternatives": [
                {"setting": other.setting, "total_gib": _gib(other.total_bytes)} for other in self.alternatives
            ],
            "error": self.error,
        }


@dataclass(frozen=True)
class Alternative:
    """A setting with which a program fits, as written on the command line, and the bytes per device it then takes."""

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
        StoreError: its figures are damaged. Of a run.json that is, nothing is said: it is not the answer.
    """
    figures = store.payload(question.node.artifact)
    record_use(figures.parent)
    run: Mapping[str, Any] = {}
    with suppress(StoreError):
        run = _read_json(figures.with_name(RUN))
    return Row(question, videos, _read_json(figures), run)


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read ({reason_of(error)}). Delete {path.parent}; it is made again."
        ) from error
    return content


def propose(row: Row, video: VideoParams, machine: MachineParams) -> Iterator[Iterator[Change]]:
    """Settings with which a program that does not fit may fit: estimates, which are compiled before they are shown.

    Yields:
        For one parameter at a time its changes, the nearest to what was asked for first.
    """
    if row.question.stage == "denoise" and machine.mesh != _AUTO:
        yield iter([Change("machine.mesh=auto", video, machine.model_copy(update={"mesh": _AUTO}))])
    if row.question.stage == "decode" and not video.table(DecodeParams).enable_tiling:
        tiled = video.with_changes("decode", enable_tiling=True)
        yield iter([Change("decode.enable_tiling=true", tiled, machine)])
    if not video.file_of_stage("denoise"):
        yield _shorten(row, video, machine)


def _shorten(row: Row, video: VideoParams, machine: MachineParams) -> Iterator[Change]:
    """Fewer frames: the most that fit if what grows with the latent frames grows evenly, then ever fewer."""
    if row.figures is None or row.total_bytes is None or not row.figures["growing_bytes"]:
        return
    growing = row.figures["growing_bytes"]
    present = (video.table(DenoiseParams).num_frames - 1) // TEMPORAL_COMPRESSION + 1
    room = row.figures["limit_bytes"] * _ROOM - (row.total_bytes - growing)
    num_latent = min(int(present * room / growing), present - 1)
    while num_latent >= 1:
        num_frames = (num_latent - 1) * TEMPORAL_COMPRESSION + 1
        shorter = video.with_changes("denoise", num_frames=num_frames)
        yield Change(f"denoise.num_frames={num_frames}", shorter, machine)
        num_latent = min(int(num_latent * _ROOM), num_latent - 1)


def _gib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else round(size_bytes / GIB, 3)
