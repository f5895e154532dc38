"""`doit list` is doit's own; what stops it is in test_one_message.py."""

import io
import sys
from pathlib import Path

import pytest

from stages.errors import StoreError
from tests.commands.doit_here import run_doit


def test_tasks_are_listed_with_what_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": [], "doc": "the encode stage"}], "list") == 0
    assert capsys.readouterr().out.split() == ["encode", "the", "encode", "stage"]


@pytest.mark.parametrize("template", ["{nope}", "{name", "{0}", "{name.nope}"])
def test_a_wrong_template_is_one_message_that_says_what_it_may_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], template: str
):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], "list", "--template", template) == 1
    assert capsys.readouterr() == (
        "",
        f"--template {template}: may have {{name}}, {{doc}} and, with --status, {{status}}.\n",
    )


def test_a_template_with_the_status_needs_it_to_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ("list", "--template", "{status}")
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], *arguments) == 1
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], *arguments, "--status") == 0
    assert capsys.readouterr().out == "R\n"


def test_with_deps_the_tasks_that_a_task_depends_on_are_below_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": []}, {"basename": "demo", "actions": [], "task_dep": ["encode"]}]
    assert run_doit(tmp_path, tasks, "list", "--deps", "--quiet", "demo") == 0
    assert capsys.readouterr().out == "demo   \n -  encode\n\n"


def test_the_status_of_a_task_is_what_its_answer_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": name, "actions": [], "uptodate": [name == "fresh"]} for name in ("due", "fresh", "ignored")]
    run_doit(tmp_path, tasks, "ignore", "ignored")
    capsys.readouterr()
    assert run_doit(tmp_path, tasks, "list", "--status", "--template", "{status} {name}") == 0
    assert capsys.readouterr().out == "R due\nU fresh\nI ignored\n"


def test_what_is_ignored_is_listed_with_how_that_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": [], "doc": "the encode stage"}]
    run_doit(tmp_path, tasks, "ignore", "encode")
    capsys.readouterr()
    assert run_doit(tmp_path, tasks, "list") == 0
    assert capsys.readouterr().out == "encode   the encode stage (ignored; `doit forget encode` ends that)\n"


FAULTY = {"basename": "harbour", "actions": [], "doc": "cannot be made: " + "x" * 200, "meta": {"fault": "x" * 200}}


def test_why_a_video_cannot_be_made_is_whole_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "60")
    assert run_doit(tmp_path, [FAULTY], "list") == 0
    assert capsys.readouterr().out == f"harbour   cannot be made: {'x' * 200}\n"


@pytest.mark.parametrize(("options", "num_columns", "width"), [([], 60, 60), (["--status"], 60, 60), ([], 20, 50)])
def test_on_a_terminal_it_is_cut_to_its_width_but_not_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], num_columns: int, width: int
):
    monkeypatch.setenv("COLUMNS", str(num_columns))
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert run_doit(tmp_path, [FAULTY], "list", *options) == 0
    line = terminal.getvalue().removesuffix("\n")
    assert len(line) == width
    assert line.endswith("x…")


VIDEO = {
    "basename": "demo",
    "actions": [],
    "doc": "the video of params/videos/demo.toml",
    "uptodate": [True],
    "meta": {"video": "demo.mp4", "prompt": "A red circle."},
}
NODE = {"basename": "export", "name": "3f9ac1d2e0b4", "actions": [], "doc": "for demo"}


def list_demo(
    folder: Path, capsys: pytest.CaptureFixture[str], *, is_made: bool, is_decoded: bool = True, **changes: object
) -> str:
    node = {**NODE, "uptodate": [is_made], "task_dep": ["decode:11112222"]}
    decode = {**NODE, "basename": "decode", "name": "11112222", "uptodate": [is_decoded]}
    tasks = [
        {"basename": "decode", "name": None},
        decode,
        {"basename": "export", "name": None},
        node,
        {**VIDEO, "task_dep": ["export:3f9ac1d2e0b4"], **changes},
    ]
    assert run_doit(folder, tasks, "list") == 0
    return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("demo "))


def test_a_video_is_listed_by_its_state_and_its_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert list_demo(tmp_path, capsys, is_made=True) == 'demo     up to date: "A red circle."'
    assert list_demo(tmp_path, capsys, is_made=False) == 'demo     to be made (export): "A red circle."'
    assert list_demo(tmp_path, capsys, is_made=False, is_decoded=False) == 'demo     to be made: "A red circle."'
    assert (
        list_demo(tmp_path, capsys, is_made=True, uptodate=[False])
        == 'demo     made, without its link: "A red circle."'
    )


def test_a_video_without_a_prompt_is_listed_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    line = list_demo(tmp_path, capsys, is_made=True, meta={**VIDEO["meta"], "prompt": ""})  # type: ignore[dict-item]
    assert line == "demo     up to date: the video of params/videos/demo.toml"


def test_orders_to_a_terminal_in_a_prompt_are_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    line = list_demo(tmp_path, capsys, is_made=True, meta={**VIDEO["meta"], "prompt": "a\x1b[2J\nb"})  # type: ignore[dict-item]
    assert line == r'demo     up to date: "a\x1b[2J b"'


def test_a_video_of_which_the_store_cannot_be_read_is_listed_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def fail() -> bool:
        raise StoreError("manifest.json: cannot be read.")

    assert list_demo(tmp_path, capsys, is_made=True, uptodate=[fail]) == 'demo     state unknown: "A red circle."'


def test_artifacts_whose_names_are_keys_are_listed_after_stages_and_videos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    tasks = [{"basename": "export", "name": None}, NODE, {"basename": "zebra", "actions": []}]
    for arguments in (["--all"], ["--all", "export", "zebra"]):
        assert run_doit(tmp_path, tasks, "list", "--quiet", *arguments) == 0
        assert capsys.readouterr().out.split() == ["export", "zebra", "export:3f9ac1d2e0b4"]
    assert run_doit(tmp_path, tasks, "list", "--quiet", "--all", "--sort", "definition") == 0
    assert capsys.readouterr().out.split() == ["export", "export:3f9ac1d2e0b4", "zebra"]
