"""What it means that the hub does not answer, or not as asked, in words: the reason, and what to do.

Imported when something has failed. No token gets into a message, nor into a log: errors of the hub's library are not
chained, because a traceback would print their texts, with headers and signed addresses.
"""

import re
import shlex
from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from typing import Final

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from stages.errors import CheckpointError, StagesError
from stages.machine.credentials import hide_credentials
from stages.models.hub_cache import repo_folder
from stages.models.hub_client import TimeoutException, TransportError, shown_endpoint
from stages.models.wording import quote

_LOG_IN = "run `hf auth login`, or set HF_TOKEN to a token"
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s'\"]*=[^\s'\"]*")


def refusal(error: Exception, repo: str, commit: str, wanted: Collection[str] = ()) -> StagesError:
    """What to raise in place of an error that ended a request for files of a commit.

    Args:
        error: of the hub's library, of the system, or one of ours, which stays as it is.
        repo, commit: of the hub.
        wanted: paths or patterns of paths that are missing; named where nothing but a network is.
    """
    if isinstance(error, StagesError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return CheckpointError(
            f"{error.filename or repo_folder(repo)}: {error.strerror}. The hub's cache cannot take the checkpoint. Fix "
            "that, or set HF_HUB_CACHE to another folder; what has come is kept."
        )
    where, why = f"{repo}@{commit}", explain(error, repo, commit)
    if not wanted or not isinstance(error, OfflineModeIsEnabled | TransportError):
        return CheckpointError(f"{where}: cannot be fetched: {why}")
    paths = sorted(wanted)
    files = "\n".join(f"  {path}" for path in paths)
    unknown = ", or not known to be whole there" if any("*" in path for path in paths) else ""
    return CheckpointError(
        f"{where}: not in the hub's cache{unknown} ({repo_folder(repo)}):\n{files}\n  They cannot be fetched: {why}\n"
        f"  Or run, where there is a network, with this cache: {_command(repo, commit, paths)}"
    )


def explain(error: Exception, repo: str, revision: str) -> str:
    """The reason and what to do, in sentences that can follow a colon.

    Args:
        error: of a request to the hub, of the kinds that its library raises, or ours.
        repo: hub id.
        revision: that was asked for: branch, tag or commit.
    """
    page = f"{shown_endpoint()}/{repo}"
    for kind, explain_kind in _KINDS:
        if isinstance(error, kind):
            return explain_kind(error, page, revision)
    return f"{describe(error)}. Run it again."


def describe(error: Exception) -> str:
    """The type and text of an error, on one line, without the token, and without what signs an address."""
    text, token = hide_credentials(_QUERY.sub("", " ".join(str(error).split()))), get_token()
    return quote(f"{type(error).__name__}: {text.replace(token, '<token>') if token else text}")


def _command(repo: str, commit: str, paths: Collection[str]) -> str:
    """The hub's own command that brings files."""
    names = [f"--include '{path}'" if "*" in path else shlex.quote(path) for path in paths]
    return " ".join(["hf download", repo, *names, "--revision", commit])


def _explain_gated(_error: Exception, page: str, _revision: str) -> str:
    has = "the token here gives no access to it" if get_token() else "there is no token here"
    return (
        f"the repository is gated, and {has}. Accept its terms at {page}, then {_LOG_IN} of that account, with the "
        "right to read gated repositories."
    )


def _explain_no_repository(_error: Exception, page: str, _revision: str) -> str:
    return (
        f"the hub has no such repository, or it is private. Correct the name; if {page} is private, {_LOG_IN} that may "
        "read it."
    )


def _explain_no_revision(_error: Exception, page: str, revision: str) -> str:
    return f"the repository has no revision {revision!r}. Use a branch, a tag or a commit (40 hex digits) of {page}."


def _explain_timeout(_error: Exception, _page: str, _revision: str) -> str:
    return (
        f"nothing has come from the hub for {constants.HF_HUB_DOWNLOAD_TIMEOUT} s. Check the network, and run it "
        "again; what has come is kept. HF_HUB_DOWNLOAD_TIMEOUT sets another limit, in seconds."
    )


def _explain_transport(error: Exception, _page: str, _revision: str) -> str:
    return (
        f"{shown_endpoint()} cannot be reached ({describe(error)}). Check the network, its proxy (HTTPS_PROXY) and "
        "HF_ENDPOINT, and run it again; what has come is kept."
    )


def _explain_status(error: Exception, page: str, _revision: str) -> str:
    """Of an answer whose status alone says what is wrong."""
    assert isinstance(error, HfHubHTTPError)
    status = error.response.status_code
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return f"the hub refuses the token. To get a valid one, {_LOG_IN}."
        case HTTPStatus.FORBIDDEN:
            return f"the hub refuses access ({describe(error)}). Look at {page}; for another token, {_LOG_IN}."
        case HTTPStatus.TOO_MANY_REQUESTS:
            wait = error.response.headers.get("Retry-After", "")
            when = f" in {wait} s" if wait.isdecimal() else " later"
            return (
                f"the hub has had too many requests from here (429). Run it again{when}; what has come is kept. With a "
                f"token it allows more: {_LOG_IN}."
            )
    return f"the hub answers {status} ({describe(error)}). Run it again later; what has come is kept."


_KINDS: Final[Sequence[tuple[type[Exception], Callable[[Exception, str, str], str]]]] = (
    (OfflineModeIsEnabled, lambda *_: "HF_HUB_OFFLINE is set, so the hub is not asked. Unset it."),
    (GatedRepoError, _explain_gated),  # before the kind that it is of, as others below
    (RepositoryNotFoundError, _explain_no_repository),
    (RevisionNotFoundError, _explain_no_revision),
    (RemoteEntryNotFoundError, lambda _, page, __: f"the hub lists the file and does not have it. Look at {page}."),
    (HfHubHTTPError, _explain_status),
    (TimeoutException, _explain_timeout),
    (TransportError, _explain_transport),
    (ValueError, lambda error, *_: f"{error}. Check HF_ENDPOINT ({shown_endpoint()})."),
)
