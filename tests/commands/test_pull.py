"""`doit pull`."""

from pathlib import Path

import pytest

from tests.commands.store_commands import run_command, states
from tests.run.two_machines import Machines, join, make_and_push

pytest.importorskip("obstore", reason="the extra `remote` is not installed")


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    machines = join(tmp_path)
    monkeypatch.chdir(machines.other)
    return machines


def test_a_video_is_fetched_and_nothing_that_it_was_made_from(machines: Machines, capsys: pytest.CaptureFixture[str]):
    nodes = make_and_push(machines.one)
    assert run_command("pull") == 0
    assert capsys.readouterr().out == (
        f"fetched 1 artifact from file://{machines.shared}, 480 B\ndemo: artifacts/videos/demo.mp4\n"
    )
    assert states(machines.other, nodes) == ["collected", "collected", "collected", "fresh"]


def test_what_is_here_is_not_fetched_again(machines: Machines, capsys: pytest.CaptureFixture[str]):
    make_and_push(machines.one)
    run_command("pull")
    capsys.readouterr()
    assert run_command("pull") == 0
    assert capsys.readouterr().out == "nothing to fetch: all of it is here\n"


def test_a_stage_that_is_named_is_fetched(machines: Machines):
    nodes = make_and_push(machines.one)
    assert run_command("pull", "denoise") == 0
    assert states(machines.other, nodes)[:2] == ["collected", "fresh"]


def test_everything_is_fetched_if_asked_for(machines: Machines):
    nodes = make_and_push(machines.one)
    assert run_command("pull", "machine.remote_fetch=all") == 0
    assert states(machines.other, nodes) == ["fresh", "fresh", "collected", "fresh"]


def test_a_video_that_cannot_be_made_is_named(machines: Machines, capsys: pytest.CaptureFixture[str]):
    make_and_push(machines.one)
    (machines.other / "params/videos/faulty.toml").write_text("[denoise]\nseed = -1\n")
    assert run_command("pull", "demo") == 0
    capsys.readouterr()
    assert run_command("pull") == 1
    assert "params/videos/faulty.toml, denoise.seed = -1: must be" in capsys.readouterr().err


def test_what_is_not_there_is_named(machines: Machines, capsys: pytest.CaptureFixture[str]):
    nodes = make_and_push(machines.one, ["encode", "denoise"])
    assert run_command("pull", "demo") == 1
    assert capsys.readouterr().err == (f"not on file://{machines.shared}: {nodes['export'].title}. `doit` makes it.\n")


def test_what_a_pattern_names_and_is_not_there_is_named(machines: Machines, capsys: pytest.CaptureFixture[str]):
    nodes = make_and_push(machines.one, [])
    assert run_command("pull", "deno*:*") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"not on file://{machines.shared}: {nodes['denoise'].title}. `doit` makes it.\n"


def test_what_is_damaged_there_is_refused_by_name(machines: Machines, capsys: pytest.CaptureFixture[str]):
    nodes = make_and_push(machines.one)
    for file in machines.shared.glob("payloads/*/video.mp4"):
        file.write_bytes(bytes(file.stat().st_size))
    assert run_command("pull") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{nodes['export'].title}: file://")
    assert second == f"not on file://{machines.shared}: {nodes['export'].title}. `doit` makes it."


def test_a_remote_store_that_does_not_answer_any_more_ends_it(machines: Machines, capsys: pytest.CaptureFixture[str]):
    make_and_push(machines.one)
    machines.break_payloads()
    assert run_command("pull", "machine.remote_fetch=all") == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"RemoteError: file://{machines.shared}: cannot be used (")


def test_what_is_here_stays_until_what_takes_its_place_has_come(machines: Machines):
    node = make_and_push(machines.one)["export"]
    assert run_command("pull") == 0
    video = machines.other / "artifacts" / node.stage / node.key / "video.mp4"
    video.write_bytes(b"damaged")
    machines.break_payloads()
    assert run_command("pull") == 1
    assert video.read_bytes() == b"damaged"
