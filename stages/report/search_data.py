"""What the scripts of the report search, filter and compare by: one JSON object, small enough for 1,000 videos.

Of the parameters only those that differ between any two videos are in it; a video's own page has all.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stages.keys import JsonValue
from stages.report.file_names import media_name, page_name, poster_name, preview_name, strip_name
from stages.report.shown import Shown, ShownVideo, UnmadeVideo

_PROMPTS = ("prompt", "negative_prompt")
_IDENTITY_CHARS = 12  # of a component: as many as elsewhere


def to_data(shown: Shown) -> dict[str, Any]:
    """The object; `parameters` are in the order of the stages, values in that of the videos."""
    differing = find_differing([video.parameters for video in shown.cards if video.parameters])
    short = short_names(differing)
    return {
        "parameters": [{"name": name, "short": short[name]} for name in differing],
        "videos": [_describe(video, differing) for video in shown.cards],
        "sweeps": {name: _describe_sweep(members) for name, members in shown.sweeps.items()},
    }


def to_script(name: str, value: Any) -> str:
    """A script that a page loads from disk, too, where it could not fetch a JSON file.

    A string inside a string: browsers read it faster, and `__proto__` is a name like any other.
    """
    content = json.dumps(json.dumps(value, separators=(",", ":"))).replace("<", "\\u003c")
    return f'"use strict";\nconst {name} = JSON.parse({content});\n'


def find_differing(parameters: Iterable[Mapping[str, JsonValue]]) -> list[str]:
    """The parameters, prompts left out, that are not the same in all: by dotted name, in the order of the first."""
    tables = [*parameters]
    names = dict.fromkeys(name for table in tables for name in table)
    return [
        name
        for name in names
        if name.rpartition(".")[2] not in _PROMPTS
        and len({repr(table.get(name)) for table in tables}) > 1  # which tells 1 from 1.0 and from true
    ]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """`seed` for `denoise.seed`, where no other name ends so."""
    ends = [name.rpartition(".")[2] for name in names]
    return {name: end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)}


def _describe(video: ShownVideo | UnmadeVideo, differing: Sequence[str]) -> dict[str, Any]:
    own = {name: _shorten(name, video.parameters[name]) for name in differing if name in video.parameters}
    rest = _describe_made(video) if isinstance(video, ShownVideo) else _describe_unmade(video)
    return {"name": video.name, "prompt": video.prompt, "parameters": own, **rest}


def _describe_made(video: ShownVideo) -> dict[str, Any]:
    facts = video.facts
    return {
        "isMade": True,
        "key": video.artifact.key,
        "isDraft": video.is_draft,
        "page": page_name(video.name),
        "media": media_name(video),
        "poster": None if facts is None else poster_name(video.digest),
        "strip": None if facts is None else strip_name(video.digest),
        "codec": None if facts is None else facts.codec,
        "frames": None if facts is None else facts.num_frames,
        "fps": None if facts is None else float(facts.fps),
        "width": None if facts is None else facts.width,
        "height": None if facts is None else facts.height,
    }


def _describe_unmade(video: UnmadeVideo) -> dict[str, Any]:
    return {
        "isMade": False,
        "isDraft": False,
        "state": video.state,
        "isRunning": video.is_running,
        "preview": preview_name(video),
    }


def _shorten(name: str, value: JsonValue) -> JsonValue:
    return value[:_IDENTITY_CHARS] if name.startswith("model.") and isinstance(value, str) else value


def _describe_sweep(members: Mapping[str, Mapping[str, JsonValue]]) -> dict[str, Any]:
    """Its axes, each with its values in the order in which they come, and where each video stands on them."""
    names = [*dict.fromkeys(name for values in members.values() for name in values)]
    short = short_names(names)
    values = {name: _distinct(own[name] for own in members.values() if name in own) for name in names}
    return {
        "axes": [{"name": name, "short": short[name], "values": values[name]} for name in names],
        "places": {
            video: [values[name].index(own[name]) if name in own else -1 for name in names]
            for video, own in members.items()
        },
    }


def _distinct(values: Iterable[JsonValue]) -> list[JsonValue]:
    return [*{repr(value): value for value in values}.values()]
