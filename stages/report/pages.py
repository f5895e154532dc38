"""The pages of the report: templates filled in. Everything that comes from elsewhere is escaped by Jinja2."""

from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.keys import JsonValue
from stages.machine.printable import local_time
from stages.report.charts import draw_memory, draw_times
from stages.report.file_names import media_name, page_name, poster_name, preview_name, strip_name
from stages.report.gathering import show_value
from stages.report.search_data import short_names
from stages.report.shown import DRAFT, Shown, ShownVideo, UnmadeVideo
from stages.store.quantities import show_bytes

_TEMPLATES: Final = Path(__file__).with_name("templates")
_ALT_CHARS: Final = 140  # of a prompt: what a screen reader says of a picture
_MAX_TAGS: Final = 3  # on a card of the wall
# Width by height of a picture's place; report.css has a class for each. The first is for a report without a video.
_SHAPES: Final[Mapping[str, float]] = MappingProxyType({
    "wide": 16 / 9, "landscape": 4 / 3, "square": 1.0, "portrait": 3 / 4, "tall": 9 / 16,
})  # fmt: skip


class Pages:
    """Fills in the templates for one report."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._shape = find_shape(shown)
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"value": show_value, "bytes": show_bytes, "alt": describe_picture}
        self._environment.globals |= {
            "shown": shown,
            "media_name": media_name,
            "page_name": page_name,
            "poster_name": poster_name,
            "strip_name": strip_name,
            "preview_name": preview_name,
            "tags_of": self._tags_of,
            "why_earlier": explain_earlier,
        }

    def wall(self) -> str:
        """All videos."""
        return self._render("wall.html", base="", shape=self._shape)

    def compare(self) -> str:
        """The comparison, of what its address names."""
        return self._render("compare.html", base="")

    def video(self, video: ShownVideo) -> str:
        """One video's page."""
        names = [*self._shown.videos]
        place = names.index(video.name)
        return self._render(
            "video.html",
            base="../",
            video=video,
            tables=_group(video.parameters),
            differing={*video.differences},
            times=draw_times(video.steps),
            memory=draw_memory(video.steps),
            made=_last_made(video),
            before=names[place - 1] if place else None,
            after=names[place + 1] if place + 1 < len(names) else None,
            partner=self._partner_of(video),
        )

    def sweep(self, name: str) -> str:
        """One sweep as a grid."""
        return self._render("sweep.html", base="../", name=name, members=self._shown.sweeps[name], shape=self._shape)

    def _render(self, template: str, **values: Any) -> str:
        return self._environment.get_template(template).render(values)

    def _partner_of(self, video: ShownVideo) -> str | None:
        """The draft of a final video, and the final of a draft."""
        other = video.of if video.is_draft else f"{video.name}{DRAFT}"
        return other if other in self._shown.videos else None

    def _tags_of(self, video: ShownVideo | UnmadeVideo) -> Sequence[tuple[str, str]]:
        """What a video differs in from those that it stands with: of a sweep its own values, else nothing."""
        if not video.differences:
            return []
        short = short_names([*video.differences])
        values = [(short[name], value) for name, value in video.differences.items() if not name.endswith(".prompt")]
        return [(name, show_value(value)) for name, value in values][:_MAX_TAGS]


def find_shape(shown: Shown) -> str:
    """The one of _SHAPES that is nearest to most videos, by which all pictures are laid out."""
    ratios = (facts.width / facts.height for video in shown.videos.values() if (facts := video.facts))
    nearest = [min(_SHAPES, key=lambda shape: abs(log(ratio / _SHAPES[shape]))) for ratio in ratios]
    return max(_SHAPES, key=nearest.count)


def describe_picture(video: ShownVideo | UnmadeVideo) -> str:
    """What a screen reader says in place of a video."""
    prompt = " ".join(video.prompt.split())
    shown = prompt if len(prompt) <= _ALT_CHARS else f"{prompt[: _ALT_CHARS - 1]}…"
    return f"{video.name}: {shown}" if shown else video.name


def explain_earlier(video: ShownVideo) -> str:
    """Why a video is not what the present parameters ask for."""
    if not video.is_in_project:
        return "The project has no video of this name any more"
    return f"The parameters ask for another video by now: {video.next_state}"


def _group(parameters: Mapping[str, JsonValue]) -> dict[str, dict[str, JsonValue]]:
    """By table, in the order of the stages."""
    tables: dict[str, dict[str, JsonValue]] = {}
    for dotted, value in parameters.items():
        table, _, name = dotted.partition(".")
        tables.setdefault(table, {})[name] = value
    return tables


def _last_made(video: ShownVideo) -> str:
    """When and where its latest part was made, "" where nobody knows."""
    runs = [step.run for step in video.steps if step.run is not None and step.run.started]
    if not runs:
        return ""
    last = max(runs, key=lambda run: run.started)
    denoise = max(runs, key=lambda run: run.total_s)
    return f"{local_time(last.started)} on {last.place.host} ({denoise.place.device})"
