"""`doit remote status`."""

import json
from pathlib import Path

import pytest

from tests.commands.store_commands import run_command
from tests.run.two_machines import Machines, join, make_and_push

pytest.importorskip("obstore", reason="the extra `remote` is not installed")


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    machines = join(tmp_path)
    monkeypatch.chdir(machines.one)
    return machines


def test_each_stage_has_its_numbers(
    machines: Machines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    make_and_push(machines.one, ["encode", "denoise"])
    assert run_command("remote", "status") == 0
    assert (
        capsys.readouterr().out
        == f"""\
file://{machines.shared}
stage    on both  here only  there only  nowhere
encode         1          0           0        0
denoise        1          0           0        0
decode         0          1           0        0
export         0          1           0        0
`doit push` sends 2 artifacts, 480 B
"""
    )
    run_command("push")
    capsys.readouterr()
    monkeypatch.chdir(machines.other)
    assert run_command("remote", "status", "machine.remote_push=never") == 0
    assert (
        capsys.readouterr().out
        == f"""\
file://{machines.shared}, read only
stage    on both  here only  there only  nowhere
encode         0          0           1        0
denoise        0          0           1        0
decode         0          0           0        1
export         0          0           1        0
`doit` fetches 1 artifact, 480 B
"""
    )


def test_as_json_it_has_names(machines: Machines, capsys: pytest.CaptureFixture[str]):
    make_and_push(machines.one)
    assert run_command("remote", "status", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stages"]["denoise"] == {"both": 1, "here": 0, "remote": 0, "nowhere": 0}
    assert {name: value for name, value in found.items() if name != "stages"} == {
        "remote": f"file://{machines.shared}",
        "to_push": 0,
        "to_push_bytes": 0,
        "to_fetch": 0,
        "to_fetch_bytes": 0,
        "is_read_only": False,
        "damaged": {},
    }


def test_what_is_damaged_there_is_named_and_put_right_by_a_push(machines: Machines, capsys: pytest.CaptureFixture[str]):
    make_and_push(machines.one)
    (entry,) = machines.shared.glob("artifacts/encode/*/*.json")
    entry.write_bytes(b"x")
    name = entry.relative_to(machines.shared)
    run_command("remote", "status")
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"damaged: {name} (it has no checksum); `doit push` puts it again from where it was made"
    )
    run_command("push")
    capsys.readouterr()
    run_command("remote", "status")
    assert "damaged:" not in capsys.readouterr().out


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize(("names", "typed"), [((), ""), (("demo",), "demo: ")])
def test_without_status_the_message_says_what_there_is(
    capsys: pytest.CaptureFixture[str], names: tuple[str, ...], typed: str
):
    assert run_command("remote", *names) == 1
    assert capsys.readouterr().err == (
        f"ParamsError: doit remote: {typed}there is `doit remote status`, `doit push` and `doit pull`.\n"
    )
