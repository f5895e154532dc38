"""What the report shows."""

from pathlib import Path

import pytest

from stages.report.gathering import gather, show_value
from stages.store.artifacts import Store
from tests.builders import collect, record
from tests.report.reports import FPS, LONG, SIZE, build_project, load, make, put_preview


def test_all_that_links_lead_to_is_shown_drafts_beside_finals(project: Path):
    sweep = ["harbour-1", "harbour-1.draft", "harbour-2", "harbour-3", "harbour-4"]
    names = ["demo", "demo.draft", *sweep, "hevc", "long", "script"]
    assert [*gather(load(project)).videos] == names


def test_a_video_has_all_parameters_of_its_chain_and_those_that_its_key_leaves_out(project: Path):
    video = gather(load(project)).videos["harbour-3"]
    assert [step.artifact.stage for step in video.steps] == ["encode", "denoise", "decode", "export"]
    assert video.parameters["denoise.seed"] == 2
    assert video.parameters["export.crop"] == ""
    assert video.parameters["denoise.window_size"] == 0
    assert len(str(video.parameters["model.vae"])) == 32
    assert video.prompt == "Boats in a harbour."


def test_frames_and_rate_are_those_of_the_file(project: Path):
    facts = gather(load(project)).videos["long"].facts
    assert facts is not None
    assert (facts.num_frames, facts.fps, facts.height, facts.width) == (SIZE.num_frames, FPS, SIZE.height, SIZE.width)
    assert (facts.duration_s, facts.codec) == (2, "h264")


def test_a_video_of_a_sweep_knows_what_it_differs_in_and_so_does_no_other(project: Path):
    videos = gather(load(project)).videos
    assert videos["harbour-4"].differences == {"denoise.seed": 2, "denoise.guidance_scale": 6.0}
    assert (videos["demo"].sweep, videos["demo"].differences) == ("", {})


def test_a_video_whose_parameters_have_changed_since_is_an_earlier_one(tmp_path: Path):
    build_project(tmp_path)
    make(load(tmp_path, denoise_seed="7"), "demo")
    make(load(tmp_path), "long")
    videos = gather(load(tmp_path)).videos
    assert [videos[name].is_current for name in ("demo", "long")] == [False, True]
    assert [videos[name].next_state for name in ("demo", "long")] == ["denoise is next", ""]


def test_a_video_whose_file_is_gone_is_in_the_project_no_more(tmp_path: Path):
    build_project(tmp_path)
    for name in ("demo", "long"):
        make(load(tmp_path), name, payload=b"")
    (tmp_path / "params/videos/long.toml").unlink()
    videos = gather(load(tmp_path)).videos
    assert [(videos[name].is_in_project, videos[name].is_current) for name in ("demo", "long")] == [
        (True, True),
        (False, False),
    ]


def test_of_a_draft_nobody_says_whether_it_is_current(project: Path):
    draft = gather(load(project)).videos["demo.draft"]
    assert (draft.is_draft, draft.of, draft.is_current) == (True, "demo", None)


def test_what_gc_has_deleted_is_not_made(tmp_path: Path):
    build_project(tmp_path)
    build = load(tmp_path)
    nodes = make(build, "demo", payload=b"")
    collect(Store(build.store.root), nodes["export"])
    shown = gather(build)
    assert (shown.videos, shown.unmade["demo"].state) == ({}, "deleted by gc")


def test_a_step_says_whether_it_is_gone_or_was_never_here(tmp_path: Path):
    build_project(tmp_path)
    build = load(tmp_path)
    nodes = make(build, "demo")
    record(Store(build.store.root), nodes["encode"])
    collect(Store(build.store.root), nodes["denoise"])
    steps = {step.artifact.stage: step for step in gather(build).videos["demo"].steps}
    assert {stage: (step.is_there, step.recorded_from) for stage, step in steps.items()} == {
        "encode": (False, "s3://bucket"),
        "denoise": (False, ""),
        "decode": (True, ""),
        "export": (True, ""),
    }


def test_what_is_not_made_yet_stands_among_the_others_by_its_name(project: Path):
    shown = gather(load(project))
    assert [*shown.unmade] == ["later"]
    assert [video.name for video in shown.cards][-3:] == ["later", "long", "script"]


def test_a_chain_is_known_whose_frames_gc_has_deleted(tmp_path: Path):
    build_project(tmp_path)
    build = load(tmp_path)
    collect(Store(build.store.root), make(build, "demo")["decode"])
    steps = gather(build).videos["demo"].steps
    assert [step.is_there for step in steps] == [True, True, False, True]


def test_a_video_that_cannot_be_read_is_shown_without_a_picture_and_named(tmp_path: Path):
    build_project(tmp_path)
    build = load(tmp_path)
    make(build, "long", payload=b"no video")
    make(build, "demo")
    shown = gather(build)
    assert (shown.videos["long"].facts, shown.videos["demo"].facts is None) == (None, False)
    (fault,) = shown.faults
    assert fault.startswith(f"long: {shown.videos['long'].file} cannot be shown as a picture: ")
    assert fault.endswith(". `doit verify` says whether it is damaged.")


def test_the_preview_of_a_denoise_belongs_to_its_video(tmp_path: Path):
    build_project(tmp_path)
    build = load(tmp_path)
    make(build, "demo", payload=b"")
    file = put_preview(build, "demo")
    assert gather(build).videos["demo"].preview == file


def test_a_link_that_somebody_has_made_under_another_kind_of_name_is_theirs(tmp_path: Path):
    build_project(tmp_path)
    build = load(tmp_path)
    make(build, "demo")
    for name in ("a#b.mp4", "<b>.mp4", "demo.final.mp4"):
        (build.links.folder / name).symlink_to((build.links.folder / "demo.mp4").readlink())
    assert [*gather(build).videos] == ["demo"]


def test_a_prompt_is_whole_however_long_it_is(project: Path):
    assert gather(load(project)).videos["long"].prompt == LONG


@pytest.mark.parametrize(
    ("value", "text"), [(6.0, "6"), (1.5, "1.5"), (True, "true"), ("a b", "a b"), (None, "null"), ([1, 2], "[1, 2]")]
)
def test_a_value_reads_as_in_a_browser(value: object, text: str):
    assert show_value(value) == text  # type: ignore[arg-type] # the JSON values that there are
