"""Requests to stop what another process makes."""

from dataclasses import replace
from pathlib import Path

import pytest

from stages.keys import ArtifactId, Key
from stages.machine.holder import Holder
from stages.store.stop_requests import StopRequests

ARTIFACT = ArtifactId("denoise", Key("1" * 32))
OTHER = ArtifactId("denoise", Key("2" * 32))
HOLDER = Holder.here()


@pytest.fixture
def requests(tmp_path: Path) -> StopRequests:
    return StopRequests(tmp_path)


def test_who_is_asked_learns_by_whom(requests: StopRequests):
    requests.ask(ARTIFACT, HOLDER)
    found = requests.find(ARTIFACT, HOLDER)
    assert found is not None
    assert (found.user, found.process) == (HOLDER.user, HOLDER.process)


def test_a_request_is_for_one_holder_and_one_artifact(requests: StopRequests):
    requests.ask(ARTIFACT, HOLDER)
    assert requests.find(ARTIFACT, replace(HOLDER, token="1" * 16)) is None
    assert requests.find(OTHER, HOLDER) is None


def test_a_request_can_be_withdrawn(requests: StopRequests):
    requests.withdraw(ARTIFACT)
    requests.ask(ARTIFACT, HOLDER)
    requests.withdraw(ARTIFACT)
    assert requests.find(ARTIFACT, HOLDER) is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"holder_token": 1}', "x" * 100_000])
def test_what_is_no_request_asks_nobody(requests: StopRequests, tmp_path: Path, content: str):
    requests.ask(ARTIFACT, HOLDER)
    (file,) = (tmp_path / ".leases").iterdir()
    file.write_text(content)
    assert requests.find(ARTIFACT, HOLDER) is None
