"""What is said when the hub does not answer as asked: the reason, and what to do. Never the token."""

import traceback
from pathlib import Path

import pytest
from huggingface_hub import constants

from stages.errors import CheckpointError
from stages.models.hub import fetch, list_files, require_access
from tests.hub_repo import Repo
from tests.hub_server import TOKEN, HubServer
from tests.models.builders import FILES, NEWER, WEIGHTS, fetch_message, ignore_progress, message

FILE = f"org/model@{NEWER}: cannot be fetched: "
COMMAND = f"hf download org/model README.md vae/config.json --revision {NEWER}"
LATER = "Run it again later; what has come is kept."


@pytest.fixture
def repo(server: HubServer) -> Repo:
    return server.repos["org/model"]


@pytest.mark.parametrize(
    ("token", "has"), [("", "there is no token here"), ("hf_other", "the token here gives no access to it")]
)
def test_of_a_gated_repository_it_says_what_to_accept_and_which_token(
    server: HubServer, repo: Repo, monkeypatch: pytest.MonkeyPatch, token: str, has: str
):
    list_files("org/model", NEWER)
    monkeypatch.setenv("HF_TOKEN", token)
    repo.is_gated = True
    assert fetch_message() == (
        f"{FILE}the repository is gated, and {has}. Accept its terms at {server.endpoint}/org/model, then run "
        "`hf auth login`, or set HF_TOKEN to a token of that account, with the right to read gated repositories."
    )


def test_a_gated_repository_gives_its_files_to_those_who_have_access(repo: Repo, monkeypatch: pytest.MonkeyPatch):
    repo.is_gated = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch("org/model", NEWER, FILES, ignore_progress)


def test_a_repository_that_is_not_there_is_reported(server: HubServer):
    reason = (
        "the hub has no such repository, or it is private. Correct the name; if {page} is private, run `hf auth "
        "login`, or set HF_TOKEN to a token that may read it."
    )
    assert fetch_message(repo="org/other") == (
        f"org/other@{NEWER}: cannot be fetched: {reason.format(page=f'{server.endpoint}/org/other')}"
    )
    assert message("org/other", "", Path()) == (
        "model.checkpoint = 'org/other': the commit of its revision 'main' is not known: "
        + reason.format(page=f"{server.endpoint}/org/other")
    )


def test_a_revision_that_is_not_there_is_reported(server: HubServer):
    assert message("org/model", "v7", Path()) == (
        "model.checkpoint = 'org/model': the commit of its revision 'v7' is not known: the repository has no "
        "revision 'v7'. Use a branch, a tag or a commit (40 hex digits) of "
        f"{server.endpoint}/org/model."
    )


def test_a_commit_that_is_not_there_is_reported(server: HubServer):
    assert fetch_message(commit="e" * 40) == (
        f"org/model@{'e' * 40}: cannot be fetched: the repository has no revision '{'e' * 40}'. Use "
        f"a branch, a tag or a commit (40 hex digits) of {server.endpoint}/org/model."
    )


def test_files_that_are_not_in_the_repository_are_reported(server: HubServer):
    assert fetch_message(["vae/config.json", "vae/a.json", "vae/b.json"]) == (
        f"org/model@{NEWER}: the repository has no vae/a.json, vae/b.json. Look at {server.endpoint}/org/model, or "
        "take another revision."
    )
    assert server.sent_bytes == {}


def test_a_file_that_is_listed_and_not_there_is_reported(server: HubServer, repo: Repo):
    list_files("org/model", NEWER)
    repo.files = {}
    assert fetch_message() == f"{FILE}the hub lists the file and does not have it. Look at {server.endpoint}/org/model."


@pytest.mark.parametrize(("wait", "when"), [("3600", "in 3600 s"), (None, "later")])
def test_too_many_requests_are_reported_with_the_time_to_wait(repo: Repo, wait: str | None, when: str):
    list_files("org/model", NEWER)
    repo.busy, repo.retry_after = [429] * 9, wait
    assert fetch_message() == (
        f"{FILE}the hub has had too many requests from here (429). Run it again {when}; what has come is kept. With a "
        "token it allows more: run `hf auth login`, or set HF_TOKEN to a token."
    )


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_hub_that_stays_down_is_reported(repo: Repo, status: int):
    list_files("org/model", NEWER)
    repo.busy = [status] * 9
    text = fetch_message()
    assert text.startswith(f"{FILE}the hub answers {status} (")
    assert text.endswith(f"). {LATER}")


def test_a_token_that_the_hub_refuses_is_reported(repo: Repo, monkeypatch: pytest.MonkeyPatch):
    list_files("org/model", NEWER)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    repo.busy, repo.busy_message = [401], "Invalid credentials in Authorization header"
    assert fetch_message() == (
        f"{FILE}the hub refuses the token. To get a valid one, run `hf auth login`, or set HF_TOKEN to a token."
    )


def test_a_file_that_stalls_is_reported(repo: Repo):
    repo.stall_after[WEIGHTS] = 10
    text = fetch_message([WEIGHTS])
    assert text.endswith(
        "They cannot be fetched: nothing has come from the hub for 1 s. Check the network, and run it again; what has "
        "come is kept. HF_HUB_DOWNLOAD_TIMEOUT sets another limit, in seconds.\n  Or run, where there is a network, "
        f"with this cache: hf download org/model {WEIGHTS} --revision {NEWER}"
    )


def test_offline_all_missing_files_are_named_with_what_to_run(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fetch("org/model", NEWER, [WEIGHTS], ignore_progress)
    num_asked = len(server.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch_message(["vae/config.json", "README.md", WEIGHTS]) == (
        f"org/model@{NEWER}: not in the hub's cache ({tmp_path}/hub/models--org--model):\n"
        "  README.md\n"
        "  vae/config.json\n"
        "  They cannot be fetched: HF_HUB_OFFLINE is set, so the hub is not asked. Unset it.\n"
        f"  Or run, where there is a network, with this cache: {COMMAND}"
    )
    assert len(server.asked) == num_asked


@pytest.mark.usefixtures("server")
def test_without_a_network_all_missing_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the port of nobody
    for ask in (fetch_message, access_message):
        assert ask(["vae/config.json", "README.md"]) == (
            f"org/model@{NEWER}: not in the hub's cache ({tmp_path}/hub/models--org--model):\n"
            "  README.md\n"
            "  vae/config.json\n"
            "  They cannot be fetched: http://127.0.0.1:9 cannot be reached (ConnectError: [Errno 111] Connection "
            "refused). Check the network, its proxy (HTTPS_PROXY) and HF_ENDPOINT, and run it again; what has come is "
            "kept.\n"
            f"  Or run, where there is a network, with this cache: {COMMAND}"
        )


def access_message(paths: list[str]) -> str:
    with pytest.raises(CheckpointError) as error:
        require_access("org/model", NEWER, paths)
    return str(error.value)


def test_a_list_that_leads_elsewhere_is_reported(server: HubServer, repo: Repo):
    repo.entries = [{"type": "file", "path": "../../x", "oid": "a" * 40, "size": 1}]
    assert fetch_message() == (
        f"{FILE}'../../x' is not the path of a file inside the repository. Check HF_ENDPOINT ({server.endpoint})."
    )


def test_what_is_no_hub_is_reported(server: HubServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", f"{server.endpoint}/elsewhere")
    assert fetch_message().startswith(FILE)


def test_no_token_is_in_a_message_or_a_traceback(repo: Repo, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    list_files("org/model", NEWER)
    repo.busy, repo.busy_message = [400], f"Bearer {TOKEN} is odd"  # a hub that sends it back
    with pytest.raises(CheckpointError) as error:
        fetch("org/model", NEWER, FILES, ignore_progress)
    assert "<token> is odd" in str(error.value)
    assert TOKEN not in "".join(traceback.format_exception(error.value))


def test_no_signed_address_is_in_a_message_or_a_traceback(repo: Repo):
    repo.busy_cdn = 403
    with pytest.raises(CheckpointError) as error:
        fetch("org/model", NEWER, FILES, ignore_progress)
    assert "Signature" not in "".join(traceback.format_exception(error.value))


def test_a_password_of_the_hubs_address_is_in_no_message(server: HubServer, monkeypatch: pytest.MonkeyPatch):
    with_password = server.endpoint.replace("://", "://me:S3cretPW@")
    monkeypatch.setattr(constants, "ENDPOINT", with_password)
    server.repos["org/model"].served[WEIGHTS] = b"short"
    said = [fetch_message([WEIGHTS]), fetch_message(repo="org/other"), fetch_message(["no/such"])]
    monkeypatch.setattr(constants, "ENDPOINT", "http://me:S3cretPW@127.0.0.1:9")
    said.append(fetch_message(repo="org/another"))
    assert all("://…@127.0.0.1:" in each for each in said), said
    assert "S3cret" not in "".join(said)
