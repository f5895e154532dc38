"""An S3 on 127.0.0.1: moto's server in a process of its own, and one that fails as servers do."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.project import PROJECT

BUCKET = "team-bucket"
SECRET = "s3cr3t-that-must-appear-nowhere"  # noqa: S105
_HOST = "127.0.0.1"
_START_S = 60.0
LOG_PATH = "/-/requests"  # of the server: answers with a line of each request so far, its method, path and query


def s3_variables(port: int) -> dict[str, str]:
    """The environment of processes that find an S3 on a port, with credentials that are marked."""
    return {
        "AWS_ENDPOINT_URL": f"http://{_HOST}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": f"id-{SECRET}",
        "AWS_SECRET_ACCESS_KEY": f"key-{SECRET}",
        "AWS_SESSION_TOKEN": f"token-{SECRET}",
        "AWS_REGION": "us-east-1",
    }


def point_to(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Have this process and its children find an S3 on a port, by these variables."""
    for name, value in s3_variables(port).items():
        monkeypatch.setenv(name, value)


@contextmanager
def running_s3() -> Iterator[int]:
    """A server with one bucket, until the block ends; its port."""
    pytest.importorskip("moto", reason="the extra `test` is not installed")
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.remote.moto_server", str(port)]
    output = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=output, stderr=output, env=os.environ, cwd=PROJECT) as server:
        try:
            _wait_for(port)
            request = urllib.request.Request(f"http://{_HOST}:{port}/{BUCKET}", method="PUT")
            urllib.request.urlopen(request).close()  # noqa: S310 (127.0.0.1)
            yield port
        finally:
            server.terminate()


def list_requests(port: int) -> list[str]:
    """All requests that a server of `running_s3` has had so far: method, path and query of each."""
    with urllib.request.urlopen(f"http://{_HOST}:{port}{LOG_PATH}") as answer:
        return str(answer.read().decode()).splitlines()


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def failing_s3(
    status: int = 200, *, delay_s: float = 0.0, is_cut: bool = False, answer: bytes | None = None
) -> Iterator[int]:
    """A server that answers everything in one way; its port.

    Args:
        status: of each answer.
        delay_s: before each.
        is_cut: whether the connection ends in the middle of the body.
        answer: its body; None: one that repeats what it was sent.
    """
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            is_over.wait(delay_s)
            repeated = f"<Error><Message>{self.headers.get('authorization')}</Message></Error>".encode()
            body = repeated if answer is None else answer
            self.send_response(status)
            self.send_header("content-length", str(len(body) + (100 if is_cut else 0)))
            self.end_headers()
            with suppress(BrokenPipeError):  # who asked has not waited
                self.wfile.write(b"" if self.command == "HEAD" else body)
            self.close_connection = is_cut

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815 (http.server's)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer((_HOST, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()
