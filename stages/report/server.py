"""Serves the report on this machine alone, and takes ratings and notes from its own pages. Nothing else is taken.

A page of another site can send requests to 127.0.0.1, too. It cannot choose the headers Host and Origin, which say
where a request comes from: a request for another host (by a name that somebody lets point here) is refused, and so is
a rating from another origin.
"""

import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from stages.errors import ParamsError
from stages.report.ratings import read_ratings, save_rating
from stages.report.search_data import to_script
from stages.report.site import one_at_a_time

HOST: Final = "127.0.0.1"
_NAMES: Final = (HOST, "localhost")
_KINDS: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
}
_RATING: Final = re.compile(r"/ratings/([0-9a-f]{32})")
_RANGE: Final = re.compile(r"bytes=([0-9]*)-([0-9]*)")
_MAX_BODY: Final = 1 << 17  # bytes: a note of 10,000 characters, each escaped
_CHUNK_BYTES: Final = 1 << 20
_DEFAULT_PORT: Final = 80  # which a browser leaves out
_TIMEOUT_S: Final = 30.0  # a client that sends nothing more holds its thread no longer


class _Server(ThreadingHTTPServer):
    """Knows the report's folder and the project's."""

    daemon_threads = True

    def __init__(self, folder: Path, project: Path, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.folder = folder.resolve()
        self.project = project
        self.lock = threading.Lock()  # of the file of ratings

    def handle_error(self, request: Any, client_address: Any) -> None:
        """As any, but a browser that leaves in the middle of a video, as players do, is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a browser calls this server."""
        named = tuple(f"{name}:{self.server_port}" for name in _NAMES)
        return (*named, *_NAMES) if self.server_port == _DEFAULT_PORT else named


@contextmanager
def serving(folder: Path, project: Path, port: int) -> Iterator[ThreadingHTTPServer]:
    """A server of a report that is ready to answer, once `serve_forever` is called.

    Args:
        folder: of the report.
        project: its folder takes ratings.json.
        port: 0 for any that is free.
    Raises:
        OSError: the port cannot be had.
    """
    with _Server(folder, project, port) as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    """Files of the folder, and `PUT /ratings/<key>`."""

    server: _Server
    timeout = _TIMEOUT_S
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "report", ""

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def end_headers(self) -> None:
        """As any, and what keeps a browser from guessing and from other sites."""
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def do_GET(self) -> None:
        """A file."""
        self._send(has_body=True)

    def do_HEAD(self) -> None:
        """What a GET would say of it."""
        self._send(has_body=False)

    def do_PUT(self) -> None:
        """A rating."""
        self.close_connection = True  # what is left of a request that is refused is not read
        found = _RATING.fullmatch(self.path)
        origin = self.headers.get("Origin", "")
        if not self._is_for_us() or origin not in {f"http://{host}" for host in self.server.hosts}:
            self._refuse(HTTPStatus.FORBIDDEN, "This server takes ratings from its own pages alone.")
        elif found is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing of this name to write.")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A rating is application/json.")
        else:
            self._take(found[1])

    def _take(self, key: str) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A rating has up to {_MAX_BODY} bytes.")
            return
        try:
            entry = json.loads(self.rfile.read(int(length)))
            with self.server.lock, one_at_a_time(self.server.folder.parent):  # threads, and other servers
                save_rating(self.server.project, key, entry)
        except (ValueError, RecursionError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"It is no rating: {error}.")
        except (OSError, ParamsError) as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        else:
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

    def _is_for_us(self) -> bool:
        return self.headers.get("Host", "") in self.server.hosts

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", f"{why}\n".encode(), has_body=self.command != "HEAD")

    def _answer(self, status: HTTPStatus, kind: str, content: bytes, *, has_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if has_body:
            self.wfile.write(content)

    def _send(self, *, has_body: bool) -> None:
        if not self._is_for_us():
            self._refuse(HTTPStatus.FORBIDDEN, "This server answers to its own address alone.")
            return
        name = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        if name == "ratings.js":
            try:
                content = to_script("RATINGS", {"canSave": True, "videos": read_ratings(self.server.project)})
            except ParamsError as error:
                self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
            else:
                self._answer(HTTPStatus.OK, _KINDS[".js"], content.encode(), has_body=has_body)
            return
        file = self._find(name)
        if file is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")
        else:
            self._send_file(file, has_body=has_body)

    def _find(self, name: str) -> Path | None:
        """A file in the folder, and nowhere else."""
        if "\0" in name or Path(name).suffix not in _KINDS:
            return None
        file = (self.server.folder / name).resolve()
        return file if file.is_relative_to(self.server.folder) and file.is_file() else None

    def _send_file(self, path: Path, *, has_body: bool) -> None:
        """All of it, or the part that a player asks for: without parts it could not go to a time."""
        with path.open("rb") as file:
            size = path.stat().st_size
            part = _read_range(self.headers.get("Range"), size)
            if part is None:
                self.send_response(HTTPStatus.OK)
                part = (0, size)
            elif part[0] >= part[1]:
                self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "The file is not as long.")
                return
            else:
                self.send_response(HTTPStatus.PARTIAL_CONTENT)
                self.send_header("Content-Range", f"bytes {part[0]}-{part[1] - 1}/{size}")
            self.send_header("Content-Type", _KINDS[path.suffix])
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(part[1] - part[0]))
            self.end_headers()
            if has_body:
                file.seek(part[0])
                left = part[1] - part[0]
                while left and (content := file.read(min(left, _CHUNK_BYTES))):
                    self.wfile.write(content)
                    left -= len(content)


def _read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None: all of it. Where the two are equal, there is nothing to send."""
    found = _RANGE.fullmatch(header or "")
    if found is None or found[0] == "bytes=-":
        return None
    if not found[1]:
        return max(size - int(found[2]), 0), size
    first = int(found[1])
    end = min(int(found[2]) + 1, size) if found[2] else size
    return min(first, size), max(end, min(first, size))
