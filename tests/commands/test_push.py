"""`doit push`."""

from pathlib import Path

import pytest

from tests.commands.store_commands import make, run_command
from tests.run.two_machines import Machines, join

pytest.importorskip("obstore", reason="the extra `remote` is not installed")


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    machines = join(tmp_path)
    monkeypatch.chdir(machines.one)
    return machines


def test_what_is_here_is_pushed_once(machines: Machines, capsys: pytest.CaptureFixture[str]):
    make(machines.one)
    assert run_command("push") == 0
    assert capsys.readouterr().out == f"pushed 4 artifacts to file://{machines.shared}, 1.57 kB sent\n"
    nothing = f"nothing to push: file://{machines.shared} has it all"
    assert run_command("push") == 0
    assert capsys.readouterr().out == f"{nothing}, without the payloads of decode: `doit push decode` sends them\n"
    assert run_command("push", "decode") == 0
    capsys.readouterr()
    assert run_command("push") == 0
    assert capsys.readouterr().out == f"{nothing}\n"


def test_a_stage_that_is_named_is_pushed_with_its_payloads(machines: Machines):
    make(machines.one)
    assert run_command("push", "decode") == 0
    assert machines.names("artifacts") == ["decode", "denoise", "encode"]


def test_a_video_that_cannot_be_made_is_named(machines: Machines, capsys: pytest.CaptureFixture[str]):
    make(machines.one)
    (machines.one / "params/videos/faulty.toml").write_text("[denoise]\nseed = -1\n")
    assert run_command("push", "demo") == 0
    capsys.readouterr()
    assert run_command("push") == 1
    assert "params/videos/faulty.toml, denoise.seed = -1: must be" in capsys.readouterr().err


def test_what_was_never_made_is_said(machines: Machines, capsys: pytest.CaptureFixture[str]):
    assert run_command("push") == 0
    out = capsys.readouterr().out
    assert out == f"nothing to push: file://{machines.shared} has it all; 4 artifacts not made here\n"


def test_what_is_damaged_is_not_pushed_and_the_rest_is(machines: Machines, capsys: pytest.CaptureFixture[str]):
    nodes = make(machines.one)
    payload = machines.one / "artifacts/denoise" / nodes["denoise"].key / "latents.safetensors"
    stamp = payload.stat()
    payload.write_bytes(bytes(stamp.st_size))
    assert run_command("push") == 0  # to doit it is not there: it is made again
    assert machines.names("artifacts") == ["encode", "export"]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("machines")
def test_a_machine_that_only_reads_pushes_nothing(capsys: pytest.CaptureFixture[str]):
    assert run_command("push", "machine.remote_push=never") == 1
    assert capsys.readouterr().err == (
        'ParamsError: machine.remote_push = "never": nothing is pushed from this machine. '
        "`doit push machine.remote_push=auto` does it once.\n"
    )


def test_a_remote_store_that_is_away_is_one_message(machines: Machines, capsys: pytest.CaptureFixture[str]):
    make(machines.one)
    machines.shared.rmdir()
    assert run_command("push") == 1
    assert capsys.readouterr().err == (
        f"RemoteError: file://{machines.shared}: there is no such folder. Make it, or mount the disk that it lies on.\n"
    )
