"""A real browser, without a window, that opens pages from a folder; Chromium speaks its own protocol over two pipes.

Nothing but Python's standard library is needed: https://chromedevtools.github.io/devtools-protocol is JSON, each
message ended by a zero byte, on the file descriptors 3 and 4.
"""

import json
import os
import select
import shutil
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "REQUIRE_BROWSER"  # .ci/run sets it: without a browser its tests fail
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", "--mute-audio"),
    # what it would otherwise ask the network for
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
    "--autoplay-policy=no-user-gesture-required",
    "--force-color-profile=srgb",
)
_LIMIT_S = 60.0  # far more than any answer takes


def find_browser() -> str:
    """Its path. Where there is none the test is skipped, or fails if one is required."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    reason = f"no browser found ({', '.join(NAMES)}): `apt-get install chromium`"
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


class _RangeHandler(SimpleHTTPRequestHandler):
    """Serves parts of files, too: without them a browser cannot go to a time in a video."""

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def send_head(self) -> BinaryIO | None:  # type: ignore[override]
        """The whole file, or the part that a `Range` of the form `bytes=<first>-<last>` asks for."""
        wanted, path = self.headers.get("Range"), Path(self.translate_path(self.path))
        if not wanted or not path.is_file():
            return super().send_head()  # type: ignore[return-value]
        size = path.stat().st_size
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or size), size - 1)
        if start > end:
            self.send_error(416)
            return None
        self.send_response(206)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(end - start + 1))
        self.end_headers()
        self.wfile.write(path.read_bytes()[start : end + 1])
        return None  # all is sent


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server of the files in a folder, on a free port of this machine; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_RangeHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Page:
    """A page of a browser."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from, self._buffer, self._count = to_browser, from_browser, b"", 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []  # what the browser says by itself, once `watch` was called
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def open(self, address: str) -> None:
        """Load a page and wait until it is there."""
        self._call("Page.navigate", url=address)
        self.evaluate(
            "new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', done))"
        )

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, that of its promise if it is one; an exception there is one here."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"]["exception"].get("description", answer))
        return answer["result"].get("value")

    def watch(self) -> None:
        """Have requests, messages of the console and exceptions reported, in `events`."""
        for domain in ("Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def resize(self, width: int, height: int, *, is_dark: bool = False) -> None:
        """The size of the page in CSS pixels, and the colours that the system asks for."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str) -> None:
        """A key of the keyboard, by the name that scripts know it by."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def point_at(self, selector: str) -> None:
        """Put the pointer on the middle of an element."""
        box = self.evaluate(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])

    def photograph(self, path: Path) -> None:
        """Write what the page looks like to a PNG file."""
        path.write_bytes(b64decode(self._call("Page.captureScreenshot")["data"]))

    def _call(self, method: str, **parameters: Any) -> Any:
        self._count += 1
        session = {} if self._session is None else {"sessionId": self._session}
        request = {"id": self._count, "method": method, "params": parameters, **session}
        os.write(self._to, json.dumps(request).encode() + b"\0")
        while (message := self._read()).get("id") != self._count:
            self.events.append(message)
        assert "error" not in message, message
        return message["result"]

    def _read(self) -> Any:
        deadline = time.monotonic() + _LIMIT_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], deadline - time.monotonic())
            assert ready, f"the browser did not answer within {_LIMIT_S:.0f} s"
            part = os.read(self._from, 1 << 20)
            assert part, "the browser ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def browsing(profile: Path) -> Iterator[Page]:
    """A page of a browser that is started for it, and ended.

    Args:
        profile: an empty folder, where it keeps what it has to.
    """
    program = find_browser()
    (read_by_browser, to_browser), (from_browser, written_by_browser) = os.pipe(), os.pipe()
    # the shell puts the pipes where the browser looks for them
    command = f'exec "$@" 3<&{read_by_browser} 4>&{written_by_browser}'
    with (profile / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", command, "bash", program, *_FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(read_by_browser, written_by_browser), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    os.close(read_by_browser)
    os.close(written_by_browser)
    try:
        yield Page(to_browser, from_browser)
    finally:
        os.close(to_browser)  # it ends when nobody speaks to it any more
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_browser)
