"""What is said of pushes at the end of a run."""

from pathlib import Path

import pytest

from stages.commands.pushing import finish_pushing, tell
from stages.keys import ArtifactId, Key
from stages.remote.address import read_address
from stages.remote.pusher import Outcome
from tests.commands.store_commands import make
from tests.run.two_machines import join, load

pytest.importorskip("obstore", reason="the extra `remote` is not installed")
PUSH = "doit push export.fps=12"
ADDRESS = read_address("s3://bucket/x")
ONE, TWO = ArtifactId("encode", Key("1" * 32)), ArtifactId("denoise", Key("2" * 32))


def test_a_run_waits_for_what_it_has_made_and_says_so(tmp_path: Path):
    machines, said = join(tmp_path), list[str]()
    nodes = make(machines.one)
    _, exchange = load(machines.one)
    exchange.push_later(nodes["export"].artifact)
    finish_pushing(exchange, said.append, PUSH)
    assert said == [f"pushed 1 artifact to file://{machines.shared}, 480 B sent"]


def test_a_run_that_has_made_nothing_says_nothing(capsys: pytest.CaptureFixture[str]):
    tell(Outcome(), ADDRESS, print, PUSH)
    assert capsys.readouterr() == ("", "")


def test_what_the_remote_store_had_already_is_not_said_to_be_sent():
    said: list[str] = []
    tell(Outcome(2, 0, {}), ADDRESS, said.append, PUSH)
    assert said == ["pushed 2 artifacts to s3://bucket/x"]


def test_a_reason_that_was_said_before_is_not_said_again(capsys: pytest.CaptureFixture[str]):
    tell(Outcome(0, 0, {ONE: "it is away"}), ADDRESS, print, PUSH, known="it is away")
    assert capsys.readouterr().err == f"not pushed: {ONE.title}. `{PUSH}` goes on.\n"


def test_what_is_not_there_is_named_with_the_reason_once(capsys: pytest.CaptureFixture[str]):
    tell(Outcome(0, 0, {ONE: "s3://bucket/x: it is away.", TWO: "s3://bucket/x: it is away."}), ADDRESS, print, PUSH)
    assert capsys.readouterr().err == (
        f"not pushed: {ONE.title}, {TWO.title}: s3://bucket/x: it is away. `{PUSH}` goes on.\n"
    )
