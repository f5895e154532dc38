"""The server of a report: what it gives, what it takes, and what it refuses."""

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.report import server
from stages.report.ratings import FILE
from stages.report.server import serving
from stages.report.site import one_at_a_time

KEY = "a" * 32
RATING = json.dumps({"video": "demo", "rating": 4, "note": "good"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "report/media").mkdir(parents=True)
    (tmp_path / "report/index.html").write_text("the wall")
    (tmp_path / "report/media/clip.mp4").write_bytes(bytes(range(100)))
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "report/link.html").symlink_to(tmp_path / "secret.html")
    return tmp_path


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    with serving(folder / "report", folder, 0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running.server_port
        running.shutdown()
        thread.join()


def ask(port: int, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
    sent = {"Host": f"127.0.0.1:{port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def put(port: int, body: str = RATING, path: str = f"/ratings/{KEY}", **headers: str) -> int:
    own = {"Origin": f"http://127.0.0.1:{port}", "Content_Type": "application/json"}
    return ask(port, "PUT", path, body, **{**own, **headers})[0]


def test_the_wall_is_what_the_address_alone_shows(port: int):
    assert ask(port, "GET", "/") == (200, b"the wall")


def test_a_player_gets_the_part_that_it_asks_for(port: int):
    assert ask(port, "GET", "/media/clip.mp4", Range="bytes=10-19") == (206, bytes(range(10, 20)))
    assert ask(port, "GET", "/media/clip.mp4", Range="bytes=90-") == (206, bytes(range(90, 100)))
    assert ask(port, "GET", "/media/clip.mp4", Range="bytes=-5") == (206, bytes(range(95, 100)))
    assert ask(port, "GET", "/media/clip.mp4", Range="bytes=100-")[0] == 416
    assert ask(port, "GET", "/media/clip.mp4", Range="pages=1") == (200, bytes(range(100)))


@pytest.mark.parametrize(
    "path",
    ["/../secret.html", "/..%2fsecret.html", "/%2e%2e/secret.html", "//etc/passwd", "/link.html", "/media", "/no.html",
     "/index.html%00.html", "/media/../../secret.html"],
)  # fmt: skip
def test_nothing_outside_the_folder_is_given(port: int, path: str):
    assert ask(port, "GET", path)[0] == 404


def test_a_browser_that_leaves_in_the_middle_of_a_video_is_no_error(
    port: int, folder: Path, capfd: pytest.CaptureFixture[str]
):
    (folder / "report/media/long.mp4").write_bytes(bytes(20 << 20))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET /media/long.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone at once
    deadline = time.monotonic() + 10
    while threading.active_count() > 2 and time.monotonic() < deadline:  # this one, and that of `serve_forever`
        time.sleep(0.01)
    assert ask(port, "GET", "/") == (200, b"the wall")
    assert capfd.readouterr().err == ""


def test_pages_that_are_served_know_that_they_may_save(port: int):
    text = ask(port, "GET", "/ratings.js")[1].decode()
    assert r"{\"canSave\":true,\"videos\":{}}" in text


def test_a_rating_of_its_own_page_is_written(port: int, folder: Path):
    assert put(port) == 204
    assert json.loads((folder / FILE).read_text()) == {KEY: json.loads(RATING)}


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.example", "https://127.0.0.1", "http://127.0.0.1", "127.0.0.1"]
)
def test_a_rating_of_another_origin_is_refused(port: int, folder: Path, origin: str):
    assert put(port, Origin=origin) == 403
    assert not (folder / FILE).exists()


def test_the_same_without_a_scheme_is_another_origin(port: int):
    assert put(port, Origin=f"127.0.0.1:{port}") == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_request_for_another_host_is_refused(port: int, host: str):
    assert ask(port, "GET", "/", Host=host)[0] == 403
    assert put(port, Host=host) == 403


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS", "CONNECT"])
def test_no_other_method_is_taken(port: int, method: str):
    assert ask(port, method, "/")[0] == 501


def test_nothing_else_can_be_written(port: int):
    assert put(port, path="/index.html") == 404
    assert put(port, path=f"/ratings/{KEY}/..") == 404
    assert put(port, path="/ratings/demo") == 404


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("{", {}, 400),
        ("[" * 50_000, {}, 400),
        ("{}", {}, 400),
        (RATING, {"Content_Type": "text/plain"}, 415),
        (RATING, {"Content_Length": "1000000000"}, 413),
        (RATING, {"Content_Length": "-1"}, 413),
        ("\xff", {}, 400),
    ],
)
def test_what_is_no_rating_is_refused(port: int, folder: Path, body: str, headers: dict[str, str], status: int):
    assert put(port, body, **headers) == status
    assert not (folder / FILE).exists()


def test_a_browser_leaves_out_the_port_that_is_everybodys(port: int, monkeypatch: pytest.MonkeyPatch):
    assert ask(port, "GET", "/", Host="localhost")[0] == 403
    monkeypatch.setattr(server, "_DEFAULT_PORT", port)
    assert ask(port, "GET", "/", Host="localhost")[0] == 200


def test_a_rating_waits_for_who_else_writes(port: int, folder: Path):
    with ThreadPoolExecutor(1) as pool:
        with one_at_a_time(folder):
            sent = pool.submit(put, port)
            time.sleep(0.2)
            assert not (folder / FILE).exists()
        assert sent.result(10) == 204
    assert KEY in json.loads((folder / FILE).read_text())
