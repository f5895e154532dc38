"""What messages say of what can be done next."""

from pathlib import Path

import pytest

from stages.run.next_steps import command_for, name_artifact, with_what_stays


@pytest.mark.parametrize(
    ("videos", "command"),
    [(["demo"], "doit demo"), (["a", "b", "c"], "doit a b c"), (["a", "b", "c", "d"], "doit")],
)
def test_a_command_names_its_videos_unless_there_are_many(videos: list[str], command: str):
    assert command_for(videos, {}) == command


def test_a_command_has_what_was_changed_here_so_that_a_shell_takes_it():
    overrides = {"denoise.num_frames": "13", "encode.prompt": "A red circle."}
    assert command_for(["demo"], overrides) == "doit demo denoise.num_frames=13 'encode.prompt=A red circle.'"


def test_a_command_of_another_name_is_that_of_the_same_videos():
    assert command_for(["demo"], {"export.fps": "7"}, "preflight") == "doit preflight demo export.fps=7"
    assert command_for(list("abcd"), {}, "preflight") == "doit preflight"


def test_a_failure_says_what_stays_and_what_goes_on_from_there():
    error = with_what_stays("memory ran out.", [Path("a/x"), Path("b/y")], "doit demo")
    assert str(error) == "memory ran out.\n  What it is made from stays: a/x, b/y. `doit demo` goes on from there."


def test_where_nothing_stays_a_failure_is_as_it_was():
    assert str(with_what_stays("memory ran out.", [], "doit demo")) == "memory ran out."


def test_a_draft_is_called_by_its_artifact_and_another_store_is_left():
    text = "/s/.drafts/0af/new/video.mp4: no; /t/.drafts/0af/new/video.mp4"
    assert name_artifact(text, store=Path("/s"), folder=Path("/s/export/1")) == (
        "/s/export/1/video.mp4: no; /t/.drafts/0af/new/video.mp4"
    )
