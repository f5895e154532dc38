"""`doit fleet status`; what a real cluster says is in tests/fleet."""

import json
from pathlib import Path

import pytest

from stages.commands import fleet
from stages.fleet.needs import SLICE
from stages.fleet.status import Host, KnownActor, Status
from tests.commands.store_commands import build_project, run_command

STATUS = Status(
    "10.0.0.1:6379",
    (
        Host("one", "10.0.0.1", {"CPU": 8.0, "memory": float(30 << 30), "node:10.0.0.1": 1.0}),
        Host("two", "10.0.0.2", {"CPU": 8.0, "memory": float(60 << 30), "TPU": 4.0}, {SLICE: "west"}),
    ),
    (
        KnownActor("me@one:12", "denoise", "two", "denoise:1e7400063301", 75.0),
        KnownActor("me@one:12", "encode", "one"),
        KnownActor("me@one:12", "denoise"),
    ),
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fleet, "read_status", lambda _address: STATUS)


def test_it_shows_hosts_what_runs_where_and_what_waits(capsys: pytest.CaptureFixture[str]):
    assert run_command("fleet", "status") == 0
    assert (
        capsys.readouterr().out
        == """\
Ray cluster at 10.0.0.1:6379, 2 hosts
host  address   chips          CPUs    memory
one   10.0.0.1  none              8  30.0 GiB
two   10.0.0.2  4 TPU of west     8  60.0 GiB

program  on   makes                 for             since
denoise  two  denoise:1e7400063301  me@one:12  1 min 15 s
encode   one  nothing               me@one:12       0.0 s
1 more actor waiting for room
"""
    )


def test_as_json_it_has_names(capsys: pytest.CaptureFixture[str]):
    assert run_command("fleet", "status", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["hosts"][1]["resources"]["TPU"] == 4.0
    assert found["actors"][0]["node"] == "denoise:1e7400063301"


@pytest.mark.parametrize("words", [[], ["up"], ["status", "demo"]])
def test_there_is_status_and_nothing_else(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert run_command("fleet", *words) == 1
    assert "there is `doit fleet status`" in capsys.readouterr().err
