"""A small hub on 127.0.0.1: serves the files of commits to the hub's own library, and fails as hubs do.

Not a test itself. It speaks what `huggingface_hub` asks of a hub: the commit of a revision, the tree of a commit in
pages, and the content of files, with ranges, by way of a redirect for large ones.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from huggingface_hub import constants

from tests.hub_repo import Repo

TOKEN = "hf_a-token-that-must-appear-nowhere"  # noqa: S105
_PIECE_BYTES = 2**16
_ANY_PORT = ("127.0.0.1", 0)


@dataclass(frozen=True)
class Asked:
    """A request that the server has had."""

    method: str
    path: str
    range: str
    is_authorized: bool


@dataclass
class HubServer:
    """A running hub.

    Attributes:
        endpoint: for HF_ENDPOINT.
        repos: by id; a test changes how they behave while it runs.
        cdn: where large files are, on another port: another host, to which no token must go.
        asked: all requests.
        asked_revisions: of which the commit was asked for.
        sent_bytes: of content, by path.
    """

    endpoint: str
    cdn: str
    repos: dict[str, Repo]
    asked: list[Asked] = field(default_factory=list)
    asked_revisions: list[str] = field(default_factory=list)
    sent_bytes: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def paths(self, method: str = "GET") -> list[str]:
        """Those that were asked for."""
        return [each.path for each in self.asked if each.method == method]

    @property
    def num_of_models(self) -> int:
        """How many requests were about models; the hub's library has one of its own per process."""
        return sum(path.startswith("/api/models/") for path in self.paths())


@contextmanager
def serve(repos: dict[str, Repo]) -> Iterator[HubServer]:
    """A hub on free ports of 127.0.0.1 for the time of the block."""
    answer = partial(_Handler, lambda: hub)
    with _Server(_ANY_PORT, answer) as server, _Server(_ANY_PORT, answer) as cdn:
        endpoints = [f"http://127.0.0.1:{each.server_port}" for each in (server, cdn)]
        hub = HubServer(*endpoints, repos)
        threads = [
            threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02}) for each in (server, cdn)
        ]
        for thread in threads:
            thread.start()
        try:
            yield hub
        finally:
            for each in (server, cdn):
                each.shutdown()
            for thread in threads:
                thread.join()


def ask_here(server: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the hub's library, in this process, ask this hub and keep what comes in `cache`; without a token."""
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # not waited for: clients keep connections, and a stalled answer never ends

    def handle_error(self, *_: object) -> None:
        """Nothing is printed: clients that are killed go without a word."""


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Callable[[], HubServer], *arguments: object) -> None:
        self._hub = hub()
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        is_authorized = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        with self._hub.lock:
            asked = Asked(self.command, unquote(url.path), self.headers.get("Range", ""), is_authorized)
            self._hub.asked.append(asked)
        routes: list[tuple[str, Callable[..., None]]] = [
            (r"/api/models/(?P<repo>[^/]+/[^/]+)/revision/(?P<revision>.+)", self._send_info),
            (r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)", self._send_tree),
            (r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", self._send_file),
            (r"/cdn/(?P<repo>[^/]+/[^/]+)/(?P<path>.+)", self._send_large),
        ]
        for pattern, send in routes:
            if found := re.fullmatch(pattern, asked.path):
                self._for_repo(send, is_authorized, **found.groupdict())
                return
        self._refuse(HTTPStatus.NOT_FOUND, "", "no such page")

    def _for_repo(self, send: Callable[..., None], is_authorized: bool, repo: str, **names: str) -> None:
        """Answer for a repository that is there, to those who may see it, when the hub is not busy."""
        known = self._hub.repos.get(repo)
        with self._hub.lock:
            status = known.busy.pop(0) if known and known.busy else None
        if known is None:
            self._refuse(HTTPStatus.UNAUTHORIZED, "RepoNotFound", "Repository not found")
        elif status is not None:
            extra = {} if known.retry_after is None else {"Retry-After": known.retry_after}
            self._refuse(HTTPStatus(status), "", known.busy_message, **extra)
        elif known.is_gated and not is_authorized and send == self._send_file:
            status = HTTPStatus.FORBIDDEN if self.headers.get("Authorization") else HTTPStatus.UNAUTHORIZED
            self._refuse(status, "GatedRepo", f"Access to model {repo} is restricted.")
        elif names.get("revision", known.commit) not in {known.commit, *known.revisions}:
            self._refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound", "Invalid rev id")
        else:
            send(repo, known, names)

    def _send_info(self, name: str, repo: Repo, names: Mapping[str, str]) -> None:
        with self._hub.lock:
            self._hub.asked_revisions.append(unquote(names["revision"]))
        self._send_json({"id": name, "sha": repo.answer, "siblings": []})

    def _send_tree(self, name: str, repo: Repo, _names: Mapping[str, str]) -> None:
        start = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
        tree = repo.tree()
        following = start + repo.page
        url = f"{self._hub.endpoint}/api/models/{name}/tree/{repo.commit}?recursive=true&cursor={following}"
        links = {"Link": f'<{repo.following or url}>; rel="next"'} if following < len(tree) else {}
        page = tree[start:following] if repo.whole_page is ... else repo.whole_page
        self._send_json(page, cut=repo.cut_json, **links)

    def _send_file(self, name: str, repo: Repo, names: Mapping[str, str]) -> None:
        path = names["path"]
        if path not in repo.files:
            self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound", "Entry not found", **{"X-Repo-Commit": repo.commit})
            return
        if path not in repo.large:
            self._send_content(repo, path)
            return
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", f"{self._hub.cdn}/cdn/{name}/{path}?Signature=a-secret")
        self.send_header("X-Repo-Commit", repo.commit)
        self.send_header("X-Linked-Etag", f'"{repo.blob_id(path)}"')
        self.send_header("X-Linked-Size", str(len(repo.files[path])))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_large(self, _name: str, repo: Repo, names: Mapping[str, str]) -> None:
        if repo.busy_cdn is None:
            self._send_content(repo, names["path"])
        else:
            self._refuse(HTTPStatus(repo.busy_cdn), "", repo.busy_message)

    def _send_content(self, repo: Repo, path: str) -> None:
        content = repo.served.get(path, repo.files[path])
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = 0, len(content)
        if asked and not repo.ignores_ranges:
            start, end = int(asked[1]), min(int(asked[2] or end) + bool(asked[2]), end)
        if asked and start >= len(content):
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "", "range")
            return
        is_part = asked and not repo.ignores_ranges
        self.send_response(HTTPStatus.PARTIAL_CONTENT if is_part else HTTPStatus.OK)
        if is_part:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        if repo.hides_length:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{repo.blob_id(path)}"')
        self.send_header("X-Repo-Commit", repo.commit)
        self.end_headers()
        if self.command == "GET":
            self._send_pieces(repo, path, content[start:end], start)

    def _send_pieces(self, repo: Repo, path: str, content: bytes, start_of_all: int) -> None:
        with self._hub.lock:
            cuts = repo.cut_after.get(path, [])
            end = cuts.pop(0) if cuts else len(content)
        stall = max(0, repo.stall_after.get(path, start_of_all + len(content) + 1) - start_of_all)
        try:
            for start in range(0, min(end, stall, len(content)), _PIECE_BYTES):
                time.sleep(repo.pause_s)
                piece = content[start : min(start + _PIECE_BYTES, end, stall)]
                self.wfile.write(piece)
                with self._hub.lock:
                    self._hub.sent_bytes[path] = self._hub.sent_bytes.get(path, 0) + len(piece)
            if stall <= len(content):
                self.rfile.read(1)  # until the other side has gone
                self.close_connection = True
            if end < len(content):
                self.close_connection = True
        except OSError:  # the other side has gone
            self.close_connection = True

    def _send_json(self, answer: object, *, cut: int | None = None, **headers: str) -> None:
        body = json.dumps(answer).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
            self.close_connection = cut is not None

    def _refuse(self, status: HTTPStatus, code: str, message: str, **headers: str) -> None:
        body = json.dumps({"error": message}).encode()
        self.send_response(status)
        for name, value in {"X-Error-Code": code, "X-Error-Message": message, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
