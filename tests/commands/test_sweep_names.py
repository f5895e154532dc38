"""A sweep's task stands for those of its videos, whatever the command."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.commands.sweep_names import expand_sweeps, is_sweep, videos_of_sweep
from tests.commands.doit_here import run_doit

SWEEP = SimpleNamespace(meta={"sweep": ("harbour-1", "harbour-2")})
TASKS = {"harbour": SWEEP, "harbour-1": SimpleNamespace(meta=None), "demo": SimpleNamespace(meta={"video": "x"})}


def test_in_the_place_of_a_sweep_stand_its_videos_each_once():
    assert expand_sweeps(["harbour-2", "harbour", "demo"], TASKS) == ["harbour-2", "harbour-1", "demo"]


def test_a_name_that_is_nobodys_stays():
    assert expand_sweeps(["x"], TASKS) == ["x"]


def test_only_a_sweeps_task_is_one():
    assert [name for name, task in TASKS.items() if is_sweep(task)] == ["harbour"]
    assert videos_of_sweep(SWEEP) == ("harbour-1", "harbour-2")


def video(name: str, ran: list[str], *, is_fresh: bool = False, fault: str = "") -> Mapping[str, Any]:
    """The task of a video, which notes that it has run, and that it was cleaned."""
    meta = {"video": name, "videos": (name,), **({"fault": fault} if fault else {})}
    return {
        "basename": name,
        "doc": f"the video {name}",
        "actions": [] if fault else [lambda: ran.append(name)],
        "clean": [lambda: ran.append(f"clean {name}")],
        "uptodate": [is_fresh],
        "meta": meta,
    }


def tasks(ran: list[str], *, fault: str = "", is_fresh: bool = False) -> list[Mapping[str, Any]]:
    """Two videos of a sweep, the second of which may have a fault, another video, and the sweep."""
    videos = [video("v-1", ran, is_fresh=is_fresh), video("v-2", ran, fault=fault, is_fresh=is_fresh)]
    sweep = {
        "basename": "v",
        "doc": "2 videos",
        "actions": None,
        "task_dep": ["v-1", "v-2"],
        "uptodate": [True],
        "meta": {"sweep": ("v-1", "v-2"), "videos": ("v-1", "v-2")},
    }
    return [*videos, video("w", ran), sweep]


def test_a_run_of_a_sweep_makes_its_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ran: list[str] = []
    assert run_doit(tmp_path, tasks(ran), "run", "v") == 0
    assert ran == ["v-1", "v-2"]
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["v-1", "v-2"]


def test_a_run_of_a_sweep_makes_the_others_of_it_and_ends_with_the_reason_of_a_faulty_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    ran: list[str] = []
    assert run_doit(tmp_path, tasks(ran, fault="wrong."), "run", "v") == 1
    assert ran == ["v-1"]
    assert capsys.readouterr().out.splitlines()[-1] == "wrong."


def test_cleaning_a_sweep_cleans_its_videos(tmp_path: Path):
    ran: list[str] = []
    run_doit(tmp_path, tasks(ran), "clean", "v")
    assert ran == ["clean v-1", "clean v-2"]


def test_ignoring_a_sweep_leaves_its_videos_out_until_it_is_forgotten(tmp_path: Path):
    ran: list[str] = []
    run_doit(tmp_path, tasks(ran), "ignore", "v")
    run_doit(tmp_path, tasks(ran), "run")
    assert ran == ["w"]
    run_doit(tmp_path, tasks(ran), "forget", "v")
    run_doit(tmp_path, tasks(ran), "run", "v")
    assert ran == ["w", "v-1", "v-2"]


def test_a_sweep_is_listed_with_its_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, tasks([]), "list", "v") == 0
    assert capsys.readouterr().out == (
        "v     2 videos\nv-1   made, without its link: the video v-1\nv-2   made, without its link: the video v-2\n"
    )


@pytest.mark.parametrize(("is_fresh", "status"), [(True, "U"), (False, "R")])
def test_a_sweep_is_up_to_date_when_its_videos_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_fresh: bool, status: str
):
    run_doit(tmp_path, tasks([], is_fresh=is_fresh), "list", "--status", "v")
    assert capsys.readouterr().out.splitlines()[0] == f"{status} v     2 videos"


def test_info_on_a_sweep_names_its_videos_and_whether_they_would_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run_doit(tmp_path, tasks([]), "info", "v") == 1
    assert capsys.readouterr().out == (
        "\nv\n\n2 videos\n\ntasks      : \n - v-1  the video v-1: run\n - v-2  the video v-2: run\n"
    )
