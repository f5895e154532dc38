"""Finds what the report shows: all videos that links lead to, and what the store knows of each."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from stages.history.runs import PastRun, read_runs
from stages.keys import ArtifactId, JsonValue
from stages.machine.json_files import read_json
from stages.report.posters import paint_posters
from stages.report.shown import DRAFT, Shown, ShownVideo, Step, VideoFacts
from stages.request.params import VIDEO_NAME
from stages.run.build import Build
from stages.store.inventory import Inventory, take_inventory
from stages.store.posters import FACTS, poster_folder
from stages.store.previews import ANIMATION, preview_folder

_PROMPT = "prompt"
_NAME = re.compile(rf"{VIDEO_NAME.pattern}({re.escape(DRAFT)})?")
_NUMBERS = re.compile(r"([0-9]+)")


def gather(build: Build) -> Shown:
    """What the links of a store lead to, with posters, which are painted where there are none.

    Raises:
        OSError: the store cannot be read, or no poster be written into it.
        StageError: posters cannot be painted at all.
    """
    inventory = take_inventory(build.store.root)
    runs = {run.artifact: run for run in read_runs(build.store.root, inventory, build.pipeline)}
    found = {video.name: video for video in _find_videos(build, inventory, runs)}
    unpainted = paint_posters(build.store.root, {video.digest: video.file for video in found.values()})
    names = sorted(found, key=_in_order)
    videos = {name: _with_facts(found[name], build.store.root) for name in names}
    faults = [
        f"{video.name}: {video.file} cannot be shown as a picture: {unpainted[video.digest]}. `doit verify` says "
        "whether it is damaged."
        for video in videos.values()
        if video.digest in unpainted
    ]
    sweeps = {
        sweep: {name: values for name, values in members.items() if name in videos}
        for sweep, members in build.graph.sweeps.items()
    }
    return Shown(build.root.resolve().name, videos, {name: own for name, own in sweeps.items() if own}, tuple(faults))


def _find_videos(build: Build, inventory: Inventory, runs: Mapping[ArtifactId, PastRun]) -> Iterator[ShownVideo]:
    last = build.pipeline.last.name
    places = {name: sweep for sweep, members in build.graph.sweeps.items() for name in members}
    for name, artifact in build.links.list_all().items():
        if _NAME.fullmatch(name) is None:  # a link that somebody has made by hand
            continue
        steps = _find_steps(build, inventory, runs, artifact) if inventory.is_there(artifact) else ()
        if not steps or steps[-1].artifact != artifact:
            continue
        entry = inventory.entries[artifact]
        assert entry.manifest is not None  # or it were not there
        own = name.removesuffix(DRAFT)
        is_draft = own != name
        now = build.graph.videos.get(own, {}).get(last)
        parameters = _flatten(steps)
        prompt = next((value for dotted, value in parameters.items() if dotted.endswith(f".{_PROMPT}")), "")
        sweep = places.get(own, "")
        yield ShownVideo(
            name=name,
            file=build.store.folder(artifact) / entry.manifest.payload,
            digest=entry.manifest.digest,
            size_bytes=entry.manifest.size_bytes,
            steps=steps,
            prompt=prompt if isinstance(prompt, str) else "",
            parameters=parameters,
            sweep=sweep,
            differences=build.graph.sweeps[sweep][own] if sweep else {},
            is_current=None if is_draft else now is not None and now.artifact == artifact,
            preview=_find_preview(build.store.root, steps),
        )


def _find_steps(
    build: Build, inventory: Inventory, runs: Mapping[ArtifactId, PastRun], artifact: ArtifactId
) -> tuple[Step, ...]:
    """The chain of a video in the order of the stages; those that the project has no more stand first."""
    order = {name: place for place, name in enumerate(build.pipeline.names)}
    chain = sorted(inventory.ancestors([artifact]), key=lambda each: order.get(each.stage, -1))
    steps = []
    for each in chain:
        entry = inventory.entries.get(each)
        if entry is None or entry.manifest is None:
            continue
        manifest = entry.manifest
        known = each.stage in order
        parameters = build.pipeline[each.stage].complete(manifest.parameters) if known else manifest.parameters
        components, run = manifest.components, runs.get(each)
        is_there = entry.payload_bytes is not None
        steps.append(Step(each, parameters, components, manifest.code, manifest.size_bytes, is_there, run))
    return tuple(steps)


def _flatten(steps: tuple[Step, ...]) -> dict[str, JsonValue]:
    values = {f"{step.artifact.stage}.{name}": value for step in steps for name, value in step.parameters.items()}
    components = {f"model.{name}": identity for step in steps for name, identity in step.components.items()}
    return {**values, **components}


def _find_preview(root: Path, steps: tuple[Step, ...]) -> Path | None:
    files = (preview_folder(root, step.artifact) / ANIMATION for step in steps)
    return next((file for file in files if file.is_file()), None)


def _with_facts(video: ShownVideo, root: Path) -> ShownVideo:
    with suppress(OSError, ValueError, KeyError, TypeError):  # none, or somebody has edited it: no picture then
        facts = read_json(poster_folder(root, video.digest) / FACTS)
        shown = tuple(map(int, facts["shown"]))
        fps = Fraction(facts["fps"])
        found = VideoFacts(int(facts["num_frames"]), fps, int(facts["width"]), int(facts["height"]), shown)
        if found.num_frames > 0 and found.fps > 0 and shown:
            return replace(video, facts=found)
    return video


def _in_order(name: str) -> list[tuple[int, str]]:
    """harbour-2 before harbour-10, and a draft after its final video."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBERS.split(name)]


def show_value(value: JsonValue) -> str:
    """A parameter as a person reads it."""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"  # as browsers show it, too
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
