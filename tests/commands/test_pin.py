"""`doit pin`, `doit unpin` and `doit pins`."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.machine.printable import local_time
from stages.store.pins import Pin, Pins
from tests.commands.store_commands import build_project, make, run_command
from tests.known_files import know_package


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(know_package(build_project(tmp_path)))
    return tmp_path


def pins(root: Path) -> list[Pin]:
    return [*Pins(root / "artifacts").read()]


def test_a_video_is_pinned_as_the_present_parameters_make_it(root: Path, capsys: pytest.CaptureFixture[str]):
    nodes = make(root)
    assert run_command("pin", "demo", "--note", "for Monday") == 0
    (pin,) = pins(root)
    assert (pin.artifact, pin.name, pin.note) == (nodes["export"].artifact, "demo", "for Monday")
    assert {*pin.made_from} == {nodes[stage].artifact for stage in ("encode", "denoise", "decode")}
    assert capsys.readouterr().out == f"demo: pinned: {nodes['export'].title} and what it is made from.\n"


def test_another_version_of_a_video_is_pinned_by_its_parameters(root: Path):
    nodes = make(root, denoise_seed="7")
    assert run_command("pin", "demo", "denoise.seed=7") == 0
    assert [pin.artifact for pin in pins(root)] == [nodes["export"].artifact]


@pytest.mark.usefixtures("root")
def test_what_is_not_there_yet_can_be_pinned_and_is_named(capsys: pytest.CaptureFixture[str]):
    assert run_command("pin", "demo") == 0
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"  not there: export:\w+, encode:\w+, denoise:\w+, decode:\w+. `doit` makes what is missing.", said[1]
    )


@pytest.mark.parametrize("form", ["title", "key", "short"])
def test_an_artifact_is_pinned_by_its_task_or_its_key(root: Path, form: str):
    make(root)
    node = make(root, denoise_seed="7")["decode"]
    name = {"title": node.title, "key": node.key, "short": node.key[:8]}[form]
    assert run_command("pin", name) == 0
    (pin,) = pins(root)
    assert (pin.artifact, pin.name) == (node.artifact, "")
    assert {each.stage for each in pin.made_from} == {"encode", "denoise"}


def test_what_was_pinned_before_one_that_cannot_be_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    encode = make(root)["encode"].title
    add = Pins.add

    def add_or_fail(pins: Pins, pin: Pin) -> Pin | None:
        if pin.artifact.stage == "encode":
            raise StoreError("the disk is full.")
        return add(pins, pin)

    monkeypatch.setattr(Pins, "add", add_or_fail)
    assert run_command("pin", "demo", encode) == 1
    assert capsys.readouterr().err == "StoreError: the disk is full. Pinned were demo.\n"
    assert run_command("pin", encode, "demo") == 1
    assert capsys.readouterr().err == "StoreError: the disk is full. Nothing was pinned.\n"


def test_pinning_again_says_who_has_pinned_it(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    run_command("pin", "demo")
    capsys.readouterr()
    assert run_command("pin", "demo") == 0
    assert "demo: pinned already, by " in capsys.readouterr().out
    assert len(pins(root)) == 1


def test_pinning_again_with_another_note_says_that_the_note_is_changed_and_keeps_the_time(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    nodes = make(root)
    run_command("pin", "demo", "--note", "shown")
    (before,) = pins(root)
    before = replace(before, since="2026-01-02T03:04:05+00:00")
    (file,) = Pins(root / "artifacts").files()
    file.write_text(before.to_json())
    capsys.readouterr()
    since = f"pinned already, by {before.by} since {local_time(before.since)}"
    what = f"{nodes['export'].title} and what it is made from.\n"
    for note, said in (("other", "; its note is changed"), ("other", "")):
        assert run_command("pin", "demo", "--note", note) == 0
        assert capsys.readouterr().out == f"demo: {since}{said}: {what}"
        assert pins(root) == [replace(before, note="other")]


@pytest.mark.usefixtures("root")
def test_a_long_note_is_cut_in_the_table_and_whole_in_json(capsys: pytest.CaptureFixture[str]):
    note = "line\n" * 20_000
    assert run_command("pin", "demo", "--note", note) == 0
    capsys.readouterr()
    assert run_command("pins") == 0
    heading, row = capsys.readouterr().out.splitlines()
    shown = f"{'line ' * 11}line…"
    assert shown in row
    assert row.index(shown) == heading.index("note")
    assert len(row) < 200
    assert run_command("pins", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["note"] == note


@pytest.mark.usefixtures("root")
def test_times_are_shown_as_people_here_read_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    run_command("pin", "demo")
    (file,) = Pins(Path("artifacts")).files()
    file.write_text(re.sub(r'"since": ".*?"', '"since": "2026-11-29T18:48:29+00:00"', file.read_text()))
    capsys.readouterr()
    monkeypatch.setenv("TZ", "XXX-3")
    time.tzset()
    try:
        assert run_command("pins") == 0
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "  2026-11-29 21:48:29  " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "dem",
            "ParamsError: dem: no such video, task or key. Did you mean `demo`? `doit list --all` and `doit gc "
            "--dry-run` name them.\n",
        ),
        ("decode", "ParamsError: decode: no such video, task or key."),
        ("0123456789abcdef", "ParamsError: 0123456789abcdef: no such video, task or key."),
        ("export:", "ParamsError: export:: no such video, task or key."),
    ],
)
def test_a_name_that_is_nobodys_is_an_error_and_nothing_is_pinned(
    root: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
):
    make(root)
    assert run_command("pin", "demo", name) == 1
    assert capsys.readouterr().err.startswith(message)
    assert pins(root) == []


@pytest.mark.parametrize("command", ["pin", "unpin"])
@pytest.mark.usefixtures("root")
def test_without_a_name_it_is_said_where_names_are(capsys: pytest.CaptureFixture[str], command: str):
    assert run_command(command) == 1
    assert f"doit {command}: name what to {command}" in capsys.readouterr().err


def test_a_video_that_cannot_be_made_cannot_be_pinned(root: Path, capsys: pytest.CaptureFixture[str]):
    (root / "params/videos/harbour.toml").write_text("[denoise\n")
    assert run_command("pin", "harbour") == 1
    said = capsys.readouterr().err
    assert said.startswith("ParamsError: params/videos/harbour.toml: not valid TOML")
    assert said.count("ParamsError") == 1


def test_unpinning_a_video_takes_all_pins_away_that_were_made_under_its_name(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    make(root)
    for arguments in ([], ["denoise.seed=7"]):
        run_command("pin", "demo", "--note", "mine", *arguments)
    run_command("pin", make(root, denoise_seed="8")["denoise"].title)
    capsys.readouterr()
    assert run_command("unpin", "demo") == 0
    assert capsys.readouterr().out.count("demo: unpinned: export:") == 2
    assert [pin.name for pin in pins(root)] == [""]


def test_a_pin_whose_file_was_renamed_is_said_and_stays(root: Path, capsys: pytest.CaptureFixture[str]):
    run_command("pin", "demo")
    (file,) = Pins(root / "artifacts").files()
    backup = file.rename(file.with_name("backup.json"))
    capsys.readouterr()
    for command in (["unpin", "demo"], ["pins"]):
        assert run_command(*command) == 1
        assert capsys.readouterr() == (
            "",
            f"StoreError: {backup}: cannot be read (it is the pin of {file.stem}, and is not called so). It says what "
            "is pinned: correct it, or delete it and pin that again. Until then nothing is deleted.\n",
        )
    assert backup.exists()


@pytest.mark.usefixtures("root")
def test_what_a_pin_says_gives_no_orders_to_a_terminal(capsys: pytest.CaptureFixture[str]):
    assert run_command("pin", "demo", "--note", "\x1b[2J\udce9") == 0
    assert run_command("pins") == 0
    assert run_command("unpin", "demo") == 0
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert "\\x1b[2J\\udce9" in said


def test_an_artifact_is_unpinned_by_its_task_or_its_key(root: Path):
    node = make(root)["denoise"]
    for name in (node.title, node.key):
        run_command("pin", node.title)
        assert run_command("unpin", name) == 0
        assert pins(root) == []


@pytest.mark.usefixtures("root")
def test_what_is_not_pinned_cannot_be_unpinned(capsys: pytest.CaptureFixture[str]):
    run_command("pin", "demo")
    capsys.readouterr()
    assert run_command("unpin", "demi") == 1
    assert (
        capsys.readouterr().err == "StoreError: demi: is not pinned. Did you mean `demo`? `doit pins` lists what is.\n"
    )


def test_pins_are_a_table(root: Path, capsys: pytest.CaptureFixture[str]):
    nodes = make(root)
    run_command("pin", "demo", "--note", "for Monday")
    capsys.readouterr()
    assert run_command("pins") == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["video", "artifact", "note", "by", "since", "bytes"]
    assert row.startswith(f"demo   {nodes['export'].title}  for Monday  ")
    assert row.endswith(" kB")


def test_pins_can_be_printed_as_json(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    run_command("pin", "demo")
    capsys.readouterr()
    assert run_command("pins", "--json") == 0
    (pin,) = json.loads(capsys.readouterr().out)
    assert pin["name"] == "demo"
    assert pin["bytes"] > 100_000


@pytest.mark.usefixtures("root")
def test_without_pins_that_is_said(capsys: pytest.CaptureFixture[str]):
    assert run_command("pins") == 0
    assert capsys.readouterr().out == "nothing is pinned.\n"
