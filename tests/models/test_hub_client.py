"""Requests to the hub: tried again where that helps, limited in time and size, the token to nobody else."""

import time
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from stages.errors import CheckpointError
from stages.models import hub_client
from stages.models.hub import fetch
from stages.models.hub_client import Patience, TransportError, ask_commit, ask_entries, file_url
from tests.hub_repo import Repo
from tests.hub_server import TOKEN, HubServer
from tests.models.builders import FILES, NEWER, WEIGHTS, ignore_progress

BUSY = [408, 429, 500, 502, 503, 504]


@pytest.fixture
def repo(server: HubServer) -> Repo:
    return server.repos["org/model"]


@pytest.fixture
def waits(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, as far as the library sleeps in this process; each passes at once."""
    del server
    slept: list[float] = []
    monkeypatch.setattr(hub_client, "_WAITS_S", (1.0, 2.0, 4.0, 8.0))
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_the_commit_of_a_branch_is_what_the_hub_says(asked: list[str]):
    assert ask_commit("org/model", "refs/pr/1") == NEWER
    assert asked == ["refs/pr/1"]


def test_all_pages_of_a_tree_are_read(server: HubServer, repo: Repo):
    repo.page = 2
    assert sum(entry["type"] == "file" for entry in ask_entries("org/model", NEWER)) == len(FILES)
    assert len(server.asked) == -(-len(repo.tree()) // 2)


@pytest.mark.parametrize("status", BUSY)
def test_a_busy_hub_is_asked_again(repo: Repo, waits: list[float], status: int):
    repo.busy = [status] * 3
    assert ask_commit("org/model", "main") == NEWER
    assert waits == [1.0, 2.0, 4.0]


def test_a_hub_that_stays_busy_is_given_up(server: HubServer, repo: Repo, waits: list[float]):
    repo.busy = [503] * 9
    with pytest.raises(HfHubHTTPError):
        ask_commit("org/model", "main")
    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("asked_s", "wait_s"), [("30", 30.0), ("2", 2.0), ("0", 1.0), ("-5", 1.0), ("Fri, 27 Nov 2026", 1.0)]
)
def test_the_hub_says_how_long_to_wait(repo: Repo, waits: list[float], asked_s: str, wait_s: float):
    repo.busy, repo.retry_after = [429], asked_s
    ask_commit("org/model", "main")
    assert waits == [wait_s]


@pytest.mark.parametrize("asked_s", ["31", "86400", "1e300", "inf"])
def test_nobody_waits_for_longer_than_half_a_minute(repo: Repo, waits: list[float], asked_s: str):
    repo.busy, repo.retry_after = [429], asked_s
    with pytest.raises(HfHubHTTPError):
        ask_commit("org/model", "main")
    assert waits == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_what_does_not_pass_is_not_tried_again(server: HubServer, repo: Repo, status: int):
    repo.busy = [status]
    with pytest.raises(HfHubHTTPError):
        ask_commit("org/model", "main")
    assert len(server.asked) == 1


def test_a_hub_that_was_never_heard_is_tried_twice(waits: list[float], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the port of nobody
    with pytest.raises(TransportError):
        ask_commit("org/model", "main")
    assert waits == [1.0]


def test_patience_begins_anew_when_something_has_come(waits: list[float]):
    patience, failure = Patience(), TransportError("cut")
    for _ in range(3):
        patience.got_further()
        assert patience.wait(failure)
    assert waits == [1.0] * 3


def test_a_file_that_stalls_ends_by_the_time_limit(server: HubServer, repo: Repo):
    repo.stall_after[WEIGHTS] = 100_000
    begun = time.monotonic()
    with pytest.raises(CheckpointError, match="nothing has come from the hub for 1 s"):
        fetch("org/model", NEWER, [WEIGHTS], ignore_progress)
    assert time.monotonic() - begun < 30
    assert server.sent_bytes[WEIGHTS] == 100_000  # and each later try began after them


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_a_connection_that_is_always_cut_at_the_same_byte_ends(server: HubServer, repo: Repo, *, ignores_ranges: bool):
    repo.ignores_ranges = ignores_ranges
    repo.cut_after[WEIGHTS] = [100_000, *[100_000 if ignores_ranges else 0] * 50]
    with pytest.raises(CheckpointError, match="RemoteProtocolError"):
        fetch("org/model", NEWER, [WEIGHTS], ignore_progress)
    assert len([each for each in server.asked if each.path.startswith("/cdn/")]) == 5


def test_a_list_that_is_always_cut_ends(server: HubServer, repo: Repo):
    repo.cut_json = 100
    with pytest.raises(TransportError):
        list(ask_entries("org/model", NEWER))
    assert len(server.asked) <= 5


def test_the_token_goes_to_the_hub_and_to_nobody_else(server: HubServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch("org/model", NEWER, FILES, ignore_progress)
    assert {each.is_authorized for each in server.asked if not each.path.startswith("/cdn/")} == {True}
    assert {each.is_authorized for each in server.asked if each.path.startswith("/cdn/")} == {False}


@pytest.mark.parametrize("token", ["hf_é", "hf_a\tb", "hf_a b", "hf_\x7f"])
def test_a_token_that_cannot_be_sent_is_reported_and_not_quoted(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, token: str
):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(CheckpointError) as error:
        ask_commit("org/model", "main")
    assert str(error.value) == (
        "The token for the hub, of HF_TOKEN or `hf auth login`, holds a character that no token has. Copy it again "
        f"from {server.endpoint}/settings/tokens."
    )
    assert server.asked == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", "https://example.org/", "file:///etc/passwd"])
def test_a_next_page_elsewhere_is_not_asked_for(server: HubServer, repo: Repo, url: str):
    repo.page = 2
    repo.following = url
    with pytest.raises(ValueError, match="its next page would be at"):
        list(ask_entries("org/model", NEWER))
    assert len(server.asked) == 1


@pytest.mark.parametrize("page", [{}, "x", 7, None])
def test_a_page_that_is_no_list_is_refused(repo: Repo, page: object):
    repo.whole_page = page
    with pytest.raises(ValueError, match="a page of it is no list"):
        list(ask_entries("org/model", NEWER))


@pytest.mark.usefixtures("server")
def test_an_answer_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub_client, "_MAX_JSON_BYTES", 100)
    with pytest.raises(ValueError, match="an answer has more than 100 bytes"):
        list(ask_entries("org/model", NEWER))


@pytest.mark.parametrize("page", [[], [{"type": "directory", "path": "vae"}]])
def test_pages_without_an_end_are_not_followed_for_ever(
    server: HubServer, repo: Repo, monkeypatch: pytest.MonkeyPatch, page: object
):
    monkeypatch.setattr(hub_client, "MAX_PAGES", 3)
    repo.page, repo.whole_page = 0, page
    with pytest.raises(ValueError, match="it has more than 3 pages"):
        list(ask_entries("org/model", NEWER))
    assert len(server.asked) == 3


@pytest.mark.usefixtures("server")
def test_as_many_pages_as_there_may_be_are_read(repo: Repo, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub_client, "MAX_PAGES", len(repo.tree()))
    repo.page = 1
    assert len(list(ask_entries("org/model", NEWER))) == len(repo.tree())


def test_the_address_of_a_file_holds_its_path_quoted(server: HubServer):
    assert file_url("org/model", NEWER, "a b/“?#.json") == (
        f"{server.endpoint}/org/model/resolve/{NEWER}/a%20b/%E2%80%9C%3F%23.json"
    )


def test_a_file_with_an_unusual_name_is_fetched(repo: Repo):
    name = "a b/“?#%.json"
    repo.files = {name: b"{}"}
    fetch("org/model", NEWER, [name], ignore_progress)


def test_nobody_is_asked_anything_besides(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The library asks who uses it, and remembers the answer in a file that decides whether the next request fails."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    (tmp_path / ".agent_harnesses.json").write_text('["gone"]')
    server.asked.clear()
    assert ask_commit("org/model", "main") == NEWER
    assert len(server.asked) == 1
