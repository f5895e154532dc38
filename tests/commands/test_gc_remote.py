"""`doit gc --remote`: what goes, what stays, and what is said."""

import os
import re
from pathlib import Path

import pytest

from stages.commands import gc_remote
from stages.errors import RemoteError
from stages.keys import Node
from stages.remote.layout import name_claim, name_partial
from tests.builders import CODE, build_node, files_below
from tests.commands.store_commands import make, run_command
from tests.remote.s3 import failing_s3, point_to
from tests.run.two_machines import Machines, join, load, make_and_push

pytest.importorskip("obstore", reason="the extra `remote` is not installed")
DAY_S = 86_400


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    machines = join(tmp_path)
    monkeypatch.chdir(machines.one)
    return machines


def push_other(machines: Machines, **overrides: str) -> dict[str, Node]:
    """Publish and push all nodes of `demo` with other values."""
    nodes = make(machines.one, **overrides)
    _, exchange = load(machines.one)
    for node in nodes.values():
        exchange.push_later(node.artifact)
    assert not exchange.finish(lambda _done, _total: None).left
    return nodes


def age(machines: Machines, days: float) -> None:
    """All objects have become so much older."""
    for path in machines.shared.rglob("*"):
        if path.is_file():
            seconds = path.stat().st_mtime - days * DAY_S
            os.utime(path, (seconds, seconds))


def keys(machines: Machines, kind: str = "artifacts") -> set[str]:
    """Of all artifacts there."""
    return {path.parent.name for path in machines.shared.glob(f"{kind}/*/*/*.json")}


def sizes(machines: Machines) -> int:
    """Bytes of all payloads there."""
    return sum(path.stat().st_size for path in machines.shared.glob("payloads/*/*"))


def test_without_keep_the_rest_stays_and_it_is_said_how_to_delete_it(
    machines: Machines, capsys: pytest.CaptureFixture[str]
):
    make_and_push(machines.one)
    push_other(machines, denoise_seed="7")
    age(machines, 400)
    before = files_below(machines.shared)
    assert run_command("gc", "--remote") == 0
    assert capsys.readouterr().out == (
        "nothing to delete.\n"
        "kept: 1.57 kB wanted or pinned here, 576 B of the rest. `doit gc --remote --keep AGE` deletes of the rest.\n"
    )
    assert files_below(machines.shared) == before


def test_what_nobody_has_used_goes_and_its_payload_when_the_grace_time_is_over(
    machines: Machines, capsys: pytest.CaptureFixture[str]
):
    needed = {node.key for node in make_and_push(machines.one).values()}
    push_other(machines, denoise_seed="7")
    age(machines, 31)
    assert run_command("gc", "--remote", "--keep", "30d") == 0
    assert capsys.readouterr().out == (
        "deleted: 3 artifacts; of their payloads, 576 B go by a later `doit gc --remote`, after 1 d\n"
        "kept: 1.57 kB wanted or pinned here, 0 B of the rest.\n"
    )
    assert (keys(machines) | keys(machines, "records"), sizes(machines)) == (needed, 1568 + 576)
    assert run_command("gc", "--remote") == 0
    assert capsys.readouterr().out == (
        "nothing to delete.\n"
        "not yet: payloads that no artifact has, 576 B: they were pushed, or their artifacts deleted, within 1 d.\n"
        "kept: 1.57 kB wanted or pinned here, 0 B of the rest.\n"
    )
    age(machines, 2)
    assert run_command("gc", "--remote") == 0
    assert capsys.readouterr().out == (
        "deleted: payloads that no artifact has, 576 B\nkept: 1.57 kB wanted or pinned here, 0 B of the rest.\n"
    )
    assert sizes(machines) == 1568
    assert run_command("pull", "denoise") == 0  # of the machine that has all of it
    push_other(machines, denoise_seed="7")  # what was deleted can be pushed again, under another name
    assert len(list(machines.shared.glob("payloads/*/*/latents.safetensors"))) == 1


def test_a_dry_run_lists_what_would_go_by_prompt_and_deletes_nothing(
    machines: Machines, capsys: pytest.CaptureFixture[str]
):
    make_and_push(machines.one)
    other = push_other(machines, denoise_seed="7")
    age(machines, 31)
    before = files_below(machines.shared)
    assert run_command("gc", "--remote", "--keep", "30d", "--dry-run") == 0
    titles = {stage: node.title for stage, node in other.items()}
    assert capsys.readouterr().out == (
        '"A red circle moves to the right." (576 B)\n'
        f"  {titles['export']}         480 B  used 31 d ago\n"
        f"  {titles['denoise']}         96 B  used 31 d ago\n"
        f"  {titles['decode']}    no payload  used 31 d ago\n"
        "would be deleted: 3 artifacts; of their payloads, 576 B go by a later `doit gc --remote`, after 1 d\n"
        "kept: 1.57 kB wanted or pinned here, 0 B of the rest.\n"
    )
    assert files_below(machines.shared) == before


def test_what_killed_runs_of_a_fleet_have_left_goes_and_is_listed_before(
    machines: Machines, capsys: pytest.CaptureFixture[str]
):
    nodes = make_and_push(machines.one)
    unfinished = build_node(prompt="y").artifact
    for name in (name_partial(nodes["denoise"].artifact), name_partial(unfinished), name_claim(unfinished, CODE)):
        (machines.shared / name).parent.mkdir(parents=True, exist_ok=True)
        (machines.shared / name).write_bytes(bytes(2000))
    age(machines, 31)
    kept = "kept: 1.57 kB wanted or pinned here"
    assert run_command("gc", "--remote") == 0
    assert capsys.readouterr().out == (
        "deleted: 1 partial state, 2.00 kB\n"
        "deleted: 1 claim of runs that have ended\n"
        f"{kept}, 2.00 kB of the rest. `doit gc --remote --keep AGE` deletes of the rest.\n"
    )
    assert run_command("gc", "--remote", "--keep", "30d", "--dry-run") == 0
    assert capsys.readouterr().out == (
        "partial states (2.00 kB)\n"
        f"  {unfinished.title}       2.00 kB  saved 31 d ago\n"
        "would be deleted: 1 partial state, 2.00 kB\n"
        f"{kept}, 0 B of the rest.\n"
    )
    assert run_command("gc", "--remote", "--keep", "30d") == 0
    assert not [
        path for kind in ("claims", "partial") for path in machines.shared.rglob(f"{kind}/**/*") if path.is_file()
    ]


def test_what_another_machine_has_fetched_stays_with_what_it_was_made_from(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
):
    push_other(machines, denoise_seed="7")
    age(machines, 31)
    monkeypatch.chdir(machines.other)
    assert run_command("pull", "demo", "denoise.seed=7") == 0
    before = keys(machines)
    monkeypatch.chdir(machines.one)
    assert run_command("gc", "--remote", "--keep", "30d") == 0
    assert keys(machines) == before


def test_what_is_pinned_here_stays(machines: Machines):
    other = push_other(machines, denoise_seed="7")
    age(machines, 31)
    assert run_command("pin", "demo", "denoise.seed=7") == 0
    assert run_command("gc", "--remote", "--keep", "30d") == 0
    assert keys(machines) >= {other["export"].key, other["denoise"].key, other["encode"].key}


def test_where_a_video_is_faulty_no_artifact_goes(machines: Machines, capsys: pytest.CaptureFixture[str]):
    push_other(machines, denoise_seed="7")
    state = machines.shared / name_partial(build_node(prompt="y").artifact)
    state.parent.mkdir(parents=True)
    state.touch()
    age(machines, 31)
    before = keys(machines)
    (machines.one / "params/videos/faulty.toml").write_text("[denoise]\nseed = -1\n")
    assert run_command("gc", "--remote", "--keep", "30d") == 1
    assert capsys.readouterr().err.endswith(
        "Nobody knows what these videos need, so no artifact was deleted. Correct their files or move them away, or "
        "keep of them only what their links show: `doit gc --remote --skip-faulty`.\n"
    )
    assert keys(machines) == before
    assert state.is_file()
    assert run_command("gc", "--remote", "--keep", "30d", "--skip-faulty") == 0
    assert len(keys(machines)) == len(before) - 2
    assert not state.exists()


def test_what_is_deleted_before_the_remote_store_goes_away_is_said(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    push_other(machines, denoise_seed="7")
    age(machines, 31)

    def fail(*_: object, **__: object) -> None:
        raise RemoteError("it is away")

    monkeypatch.setattr(gc_remote, "collect_abandoned", fail)
    assert run_command("gc", "--remote", "--keep", "30d") == 1
    out, err = capsys.readouterr()
    assert out.startswith("deleted: ")
    assert err == "RemoteError: it is away\n"


def test_where_an_object_says_nothing_no_payload_goes(machines: Machines, capsys: pytest.CaptureFixture[str]):
    make_and_push(machines.one)
    (entry,) = machines.shared.glob("artifacts/export/*/*.json")
    entry.write_bytes(b"x")
    age(machines, 31)
    before, name = sizes(machines), entry.relative_to(machines.shared)
    assert run_command("gc", "--remote") == 1
    assert capsys.readouterr().err == (
        f"No payload was deleted, because nobody knows what these need: {name} (it has no checksum). `doit push` puts "
        "a damaged one again from where it was made; `doit gc --remote --skip-faulty` deletes it. What another version "
        "of this project has put, that version can collect.\n"
    )
    assert (sizes(machines), entry.exists()) == (before, True)
    assert run_command("gc", "--remote", "--skip-faulty") == 0
    assert (sizes(machines), entry.exists()) == (before - 480, False)


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--remote", "--keep", "30GB"], "--keep 30GB: must be an age with --remote, such as 12h, 30d or 8w: a remote "
         "store is everybody's, and what others have used stays."),
        (["--remote", "--keep", "x"], "--keep x: must be an age with --remote, such as 12h, 30d or 8w: a remote store "
         "is everybody's, and what others have used stays."),
        (["--remote", "--grace", "0.5h"], "--grace 0.5h: must be at least 1 h, on which pushes rely."),
        (["--grace", "2d"], "--grace is about the remote store. Give --remote as well, or leave it out."),
        (["--remote", "--keep-logs", "3d"], "--keep-logs is about this machine. Leave it or --remote out."),
    ],
)  # fmt: skip
def test_an_option_that_does_not_fit_is_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert run_command("gc", *arguments) == 1
    assert capsys.readouterr().err == f"ParamsError: doit gc: {message}\n"


@pytest.mark.usefixtures("machines")
def test_a_machine_that_only_reads_deletes_nothing(capsys: pytest.CaptureFixture[str]):
    assert run_command("gc", "--remote", "machine.remote_push=never") == 1
    assert capsys.readouterr().err == (
        'ParamsError: machine.remote_push = "never": nothing is deleted from this machine. '
        "`doit gc --remote machine.remote_push=auto` does it once.\n"
    )


@pytest.mark.usefixtures("machines")
def test_a_remote_store_that_refuses_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with failing_s3(403) as port:
        point_to(monkeypatch, port)
        assert run_command("gc", "--remote", "machine.remote=s3://bucket/x") == 1
    assert re.fullmatch(
        r"RemoteError: s3://bucket/x: it refuses the credentials that were found, or what they may do \(403\)[^\n]*\n",
        capsys.readouterr().err,
    )
