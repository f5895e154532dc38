"""Two videos, stage by stage."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stages.diff.comparison import ONLY, StageDifference, compare
from stages.diff.side import Side, find_side
from stages.provenance.record import Record
from stages.store.verdict import Reason
from tests.builders import collect
from tests.diff.made_videos import Videos, build_videos, changed, gray, noise
from tests.provenance.videos import change_vae

pytestmark = pytest.mark.processes


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Videos:
    videos = build_videos(tmp_path / "project")
    monkeypatch.chdir(videos.root)
    videos.make(noise())
    return videos


def compare_with_before(videos: Videos) -> dict[str, StageDifference]:
    sides = find_side("demo@before", videos.project), find_side("demo", videos.project)
    return {each.stage: each for each in compare(*sides, videos.project)}


def fields(reasons: Sequence[Reason]) -> list[str]:
    return [reason.field for reason in reasons]


def test_a_parameter_stands_at_its_stage_and_no_other(videos: Videos):
    videos.make(changed(noise(), first=2, by=0.0625), latents=0.5, denoise_seed="7")
    found = compare_with_before(videos)
    assert found["denoise"].reasons == (Reason("denoise.seed", 42, 7),)
    assert [fields(found[stage].reasons) for stage in ("encode", "decode", "export")] == [[], [], []]


def test_what_is_equal_is_not_measured(videos: Videos):
    videos.make(noise(), denoise_seed="7")
    found = compare_with_before(videos)
    assert (found["decode"].outcome, found["decode"].frames) == ("equal", None)


def test_frames_are_measured_as_they_are_stored(videos: Videos):
    videos.make(changed(noise(), first=2, by=0.0625), decode_dtype="bfloat16")
    frames = compare_with_before(videos)["decode"].frames
    assert frames is not None
    assert (frames.first, [metric.name for metric in frames.metrics]) == (2, ["psnr", "ssim", "xpsnr"])


def test_latents_are_measured_value_by_value(videos: Videos):
    videos.make(noise(), latents=0.5, denoise_seed="7")
    latents = compare_with_before(videos)["denoise"].values["latents"]
    assert not isinstance(latents, str)
    assert (latents["num_unequal"], latents["max_abs"]) == (128, 0.5)


def test_frames_of_another_length_are_not_compared(videos: Videos):
    videos.make(noise()[:1], decode_dtype="bfloat16")
    frames = compare_with_before(videos)["decode"].frames
    assert frames is not None
    assert (frames.is_measured, [size[0] for size in frames.sizes]) == (False, [5, 1])


def test_another_component_stands_at_the_stage_that_reads_it(videos: Videos, tmp_path: Path):
    videos.make(noise(), model_checkpoint=str(change_vae(tmp_path / "checkpoint")))
    found = compare_with_before(videos)
    assert fields(found["decode"].reasons) == ["components.vae"]
    assert fields(found["denoise"].reasons) == []


def test_a_stage_of_one_of_them_alone_is_named(videos: Videos):
    decode, whole = (find_side(each, videos.project) for each in (videos.make(noise())["decode"].title, "demo"))
    (export,) = [each for each in compare(decode, whole, videos.project) if each.stage == "export"]
    assert (fields(export.reasons), export.outcome) == ([ONLY], "unknown")


def with_run(side: Side, stage: str, versions: object) -> Side:
    made = [replace(each, run={"versions": versions}) if each.stage == stage else each for each in side.record.made]
    return replace(side, record=Record(side.name, side.record.what, side.record.origin, made))


def test_versions_that_differ_are_named_where_both_are_known(videos: Videos):
    side = find_side("demo", videos.project)
    old, new = (with_run(side, "decode", {"jax": version, "numpy": "2"}) for version in ("0.9", "0.10"))
    assert compare(old, new, videos.project)[2].reasons == (Reason("version.jax", "0.9", "0.10"),)
    assert compare(with_run(side, "decode", None), new, videos.project)[2].reasons == ()


def test_other_code_is_a_reason(videos: Videos):
    side = find_side("demo", videos.project)
    made = [replace(each, code=None if each.stage == "encode" else "f" * 32) for each in side.record.made]
    other = replace(side, record=replace(side.record, made=made))
    found = compare(side, other, videos.project)
    assert [fields(each.reasons) for each in found] == [[], ["code"], ["code"], ["code"]]


def test_what_gc_has_deleted_is_told_apart_by_its_digest(videos: Videos):
    nodes = videos.make(gray(), decode_dtype="bfloat16")
    collect(videos.store, nodes["decode"])
    found = compare_with_before(videos)["decode"]
    assert (found.outcome, found.frames, found.note) == ("other", None, "the second: deleted by `doit gc`")


def test_a_stage_that_this_project_has_not_is_compared_by_its_key(videos: Videos):
    side = find_side("demo", videos.project)
    made = [replace(each, stage="upscale") if each.stage == "export" else each for each in side.record.made]
    payloads = {("upscale" if name == "export" else name): payload for name, payload in side.payloads.items()}
    one = Side(side.name, replace(side.record, made=made), payloads)
    other = replace(one, record=replace(side.record, made=[*made[:3], replace(made[3], key="f" * 32)]))
    found = compare(one, other, videos.project)
    assert found[-1].stage == "upscale"
    assert fields(found[-1].reasons) == ["key.upscale"]


def test_all_of_it_is_json(videos: Videos):
    videos.make(changed(noise(), first=2, by=0.0625), latents=0.5, denoise_seed="7")
    found = json.loads(json.dumps([each.to_json() for each in compare_with_before(videos).values()], allow_nan=False))
    assert [each["bytes"] for each in found] == ["equal", "other", "other", "other"]
    assert found[1]["differences"] == [{"field": "denoise.seed", "first": 42, "second": 7}]
    assert found[2]["frames"]["first_differing_frame"] == 2
