"""Requests to the hub, by the session, the token and the errors of its own library: tried again where that can help.

Imported when the hub is asked, because the library takes longer than everything else in a run that has nothing to do.
Everything has a limit: waiting for an answer, between two tries, and what an answer may hold.
"""

import json
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from huggingface_hub import constants, get_session, get_token, hf_raise_for_status
from huggingface_hub.errors import HfHubHTTPError

from stages.errors import CheckpointError
from stages.machine.credentials import hide_credentials

# httpx, or its successor httpx2 from huggingface_hub 2 on: what the library's session is of.
_HTTPX: Any = import_module(HfHubHTTPError.__bases__[0].__module__.partition(".")[0])
TransportError: type[Exception] = _HTTPX.TransportError
TimeoutException: type[Exception] = _HTTPX.TimeoutException

Answer = TypeVar("Answer")

_WAITS_S = (1.0, 2.0, 4.0, 8.0)  # before the second try, the third, ...
_LONGEST_WAIT_S = 30.0  # that the hub may ask for; above it, it is for the person to come back
_MAX_JSON_BYTES = 64 * 2**20  # of one answer; a page of a thousand files has half a MiB
MAX_PAGES = 1000  # of a list of files; the hub's have 1000 entries each
_BUSY: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class Patience:
    """How often something is tried again: a few times in a row, and anew whenever it has got further."""

    def __init__(self) -> None:
        """Nothing has failed yet."""
        self._num_failures = 0
        self._has_answered = False

    def got_further(self) -> None:
        """More is there than ever before: what failed is forgotten."""
        self._num_failures = 0
        self._has_answered = True

    def wait(self, failure: Exception) -> bool:
        """Wait before the next try; False, at once, when there should be none."""
        asked_s = 0.0
        if isinstance(failure, HfHubHTTPError):
            self._has_answered = True
            asked_s = _asked_wait_s(failure)
            if failure.response.status_code not in _BUSY or asked_s > _LONGEST_WAIT_S:
                return False
        waits_s = _WAITS_S if self._has_answered else _WAITS_S[:1]  # nobody is there: perhaps there is no network
        if self._num_failures >= len(waits_s):
            return False
        wait_s = max(asked_s, waits_s[self._num_failures])
        self._num_failures += 1
        time.sleep(wait_s)
        return True


def receive(
    url: str, take: Callable[[Any, Patience], Answer], *, headers: Callable[[], dict[str, str]] = dict
) -> Answer:
    """Ask until an answer has been taken whole.

    Args:
        url: of the hub.
        take: reads the response (of httpx); it may be called again after a failure of the network in the middle.
        headers: of the next try, besides those of the hub's library.
    Raises:
        Exception: what the hub's library raised at last, or `take`.
    """
    own, patience = _own_headers(), Patience()
    timeout_s = constants.HF_HUB_DOWNLOAD_TIMEOUT  # for a connection, and for each piece of an answer
    while True:
        try:
            with get_session().stream("GET", url, headers={**own, **headers()}, timeout=timeout_s) as response:
                hf_raise_for_status(response)
                return take(response, patience)
        except (HfHubHTTPError, TransportError) as failure:
            if not patience.wait(failure):
                raise


def ask_commit(repo: str, revision: str) -> object:
    """The commit that the hub names for a branch or tag; unchecked."""
    answer, _ = _ask_json(f"{_api(repo)}/revision/{quote(revision, safe='')}")
    return answer.get("sha") if isinstance(answer, dict) else None


def ask_entries(repo: str, commit: str) -> Iterator[object]:
    """All entries of a commit's tree, as the hub names them; unchecked.

    Raises:
        ValueError: a page is no list, the next one would be elsewhere than at the hub, or there are too many.
    """
    url = f"{_api(repo)}/tree/{commit}?recursive=true&expand=false"
    num_pages = 0
    while url:
        if num_pages == MAX_PAGES:
            raise ValueError(f"it has more than {MAX_PAGES} pages")
        page, following = _ask_json(url)
        num_pages += 1
        if not isinstance(page, list):
            raise ValueError("a page of it is no list")
        yield from page
        if following and urlsplit(following)[:2] != urlsplit(url)[:2]:
            raise ValueError(f"its next page would be at {following[:200]!r}")  # the token would go there
        url = following


def ask_bytes(repo: str, commit: str, path: str, num_bytes: int) -> bytes:
    """The first bytes of a file, or all that it has."""

    def take(response: Any, _patience: Patience) -> bytes:
        content = b""
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) >= num_bytes:  # also of a hub that ignores ranges
                break
        return content[:num_bytes]

    headers = {"Range": f"bytes=0-{num_bytes - 1}"}
    return receive(file_url(repo, commit, path), take, headers=lambda: headers)


def shown_endpoint() -> str:
    """Where the hub is, for messages: some mirrors are given with a password."""
    return hide_credentials(constants.ENDPOINT)


def file_url(repo: str, commit: str, path: str) -> str:
    """Where the hub has the content of a file."""
    return f"{constants.ENDPOINT}/{repo}/resolve/{commit}/{quote(path)}"


def _own_headers() -> dict[str, str]:
    """Those of each request: who asks, and the token."""
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    if not all("\x20" < each < "\x7f" for each in token or ""):
        raise CheckpointError(  # httpx would quote it
            "The token for the hub, of HF_TOKEN or `hf auth login`, holds a character that no token has. Copy it "
            f"again from {shown_endpoint()}/settings/tokens."
        )
    who = {"User-Agent": "hunyuan-stages", **({"Authorization": f"Bearer {token}"} if token else {})}
    return {**who, "Accept-Encoding": "identity"}  # lengths and ranges are those of the file, not of what is packed


def _api(repo: str) -> str:
    return f"{constants.ENDPOINT}/api/models/{repo}"


def _ask_json(url: str) -> tuple[object, str]:
    """An answer, and the address of the next page or ""."""

    def take(response: Any, _patience: Patience) -> tuple[object, str]:
        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _MAX_JSON_BYTES:
                raise ValueError(f"an answer has more than {_MAX_JSON_BYTES} bytes")
        return json.loads(body), response.links.get("next", {}).get("url", "")

    return receive(url, take)


def _asked_wait_s(failure: HfHubHTTPError) -> float:
    """The seconds that the hub asks to wait for; 0 if it does not say."""
    try:
        return max(0.0, float(failure.response.headers.get("Retry-After", "0")))
    except ValueError:  # a date
        return 0.0
