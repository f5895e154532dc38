"""How a draft is named after a command, and which commands take one."""

from pathlib import Path

import pytest
from doit.cmdparse import CmdParseError

from stages.commands.draft_names import read_draft_names
from stages.keys import Node
from stages.run.loading import load_build
from stages.store.pins import Pins
from tests.commands.store_commands import build_project, run_command
from tests.known_files import know_package


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(know_package(build_project(tmp_path)))
    return tmp_path


def node_of(root: Path, stage: str, *, is_draft: bool) -> Node:
    return load_build(root, {}, is_draft=is_draft).graph.videos["demo"][stage]


@pytest.mark.parametrize(
    ("typed", "names", "are_drafts"),
    [
        ([], [], False),
        (["demo", "denoise:3f9a"], ["demo", "denoise:3f9a"], False),
        (["demo.draft", "har*.draft"], ["demo", "har*"], True),
        ([".draft", "demo.drafts"], [".draft", "demo.drafts"], False),
    ],
)
def test_names_are_all_of_drafts_or_none_is(typed: list[str], names: list[str], are_drafts: bool):
    assert read_draft_names(typed, "list", takes_drafts=True) == (names, are_drafts)


def test_a_draft_beside_a_video_is_refused():
    with pytest.raises(CmdParseError) as refused:
        read_draft_names(["harbour", "demo.draft"], "clean", takes_drafts=True)
    assert str(refused.value) == (
        "demo.draft: a draft, and harbour is none. Name drafts and others in commands of their own."
    )


@pytest.mark.parametrize("command", ["ignore", "keep", "preflight", "gate"])
@pytest.mark.usefixtures("root")
def test_a_command_that_takes_no_drafts_says_so(command: str, capsys: pytest.CaptureFixture[str]):
    assert run_command(command, *(["HEAD"] if command == "gate" else []), "demo.draft") == 1
    assert capsys.readouterr().err == (
        f"demo.draft: a draft, and `doit {command}` takes none. `doit help {command}` says more.\n"
    )


def test_a_drafts_pin_is_another_than_its_videos(root: Path, capsys: pytest.CaptureFixture[str]):
    assert run_command("pin", "demo") == run_command("pin", "demo.draft") == 0
    pins = {pin.name: pin.artifact for pin in Pins(root / "artifacts").read()}
    assert pins == {
        "demo": node_of(root, "export", is_draft=False).artifact,
        "demo.draft": node_of(root, "export", is_draft=True).artifact,
    }
    capsys.readouterr()
    assert run_command("unpin", "demo.draft") == 0
    assert [pin.name for pin in Pins(root / "artifacts").read()] == ["demo"]


def test_a_draft_that_is_not_being_made_is_called_as_it_was_typed(root: Path, capsys: pytest.CaptureFixture[str]):
    (root / "artifacts").mkdir(exist_ok=True)
    assert run_command("stop", "demo.draft") == 1
    assert capsys.readouterr().err == (
        "StoreError: demo.draft: is not being made at present. Nothing is being made at present.\n"
    )
