"""Finds what the report shows: the videos that links lead to, what the store knows of each, and what is not made."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from stages.history.runs import PastRun, read_runs
from stages.keys import ArtifactId, JsonValue
from stages.report.posters import paint_posters, read_facts
from stages.report.shown import DRAFT, Shown, ShownVideo, Step, UnmadeVideo, sort_key
from stages.report.unmade import find_preview, find_unmade
from stages.request.params import VIDEO_NAME
from stages.run.build import Build
from stages.store.inventory import Inventory, take_inventory
from stages.store.records import recorded_from

_PROMPT = "prompt"
_NAME = re.compile(rf"{VIDEO_NAME.pattern}({re.escape(DRAFT)})?")


def gather(build: Build) -> Shown:
    """What the links of a store lead to, with posters, which are painted where there are none.

    Raises:
        OSError: the store cannot be read, or no poster be written into it.
        StageError: posters cannot be painted at all.
    """
    root = build.store.root
    inventory = take_inventory(root)
    runs = {run.artifact: run for run in read_runs(root, inventory, build.pipeline)}
    found = {video.name: video for video in _find_videos(build, inventory, runs)}
    unpainted = paint_posters(root, {video.digest: video.file for video in found.values()})
    made = {name: video.artifact for name, video in found.items()}
    unmade = {video.name: video for video in find_unmade(build, inventory, made)}
    videos = {name: _complete(found[name], root, unmade) for name in sorted(found, key=sort_key)}
    faults = [
        f"{video.name}: {video.file} cannot be shown as a picture: {unpainted[video.digest]}. `doit verify` says "
        "whether it is damaged."
        for video in videos.values()
        if video.digest in unpainted
    ]
    absent = {name: video for name, video in unmade.items() if name not in videos}
    return Shown(build.root.resolve().name, videos, absent, build.graph.sweeps, tuple(faults))


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
            is_in_project=own in build.graph.videos or own in build.graph.faults,
            is_current=None if is_draft else now is not None and now.artifact == artifact,
            preview=find_preview(build.store.root, (step.artifact for step in steps)),
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
        remote = "" if is_there else recorded_from(build.store.folder(each))
        steps.append(Step(each, parameters, components, manifest.code, manifest.size_bytes, is_there, remote, run))
    return tuple(steps)


def _flatten(steps: tuple[Step, ...]) -> dict[str, JsonValue]:
    values = {f"{step.artifact.stage}.{name}": value for step in steps for name, value in step.parameters.items()}
    components = {f"model.{name}": identity for step in steps for name, identity in step.components.items()}
    return {**values, **components}


def _complete(video: ShownVideo, root: Path, unmade: Mapping[str, UnmadeVideo]) -> ShownVideo:
    """With what its file says of itself, and the state of the video that is asked for instead."""
    next_state = unmade[video.name].state if video.name in unmade else ""
    return replace(video, facts=read_facts(root, video.digest), next_state=next_state)


def show_value(value: JsonValue) -> str:
    """A parameter as a person reads it."""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"  # as browsers show it, too
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
