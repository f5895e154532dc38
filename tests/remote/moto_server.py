"""moto's S3 on 127.0.0.1, with conditional writes that are one step, as those of S3 are, and a log of its requests.

    python -m tests.remote.moto_server PORT

moto looks whether an object is there and then writes it, and two of its threads can both find none.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

from tests.remote.s3 import LOG_PATH


class Watched:
    """A WSGI application that logs its requests, and whose requests with a condition wait for each other."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._requests: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        if environ["PATH_INFO"] == LOG_PATH:
            start_response("200 OK", [("content-type", "text/plain")])
            return ["".join(self._requests).encode()]
        query = environ["QUERY_STRING"]
        self._requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{'?' if query else ''}{query}\n")
        is_conditional = {"HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"} & set(environ)
        with self._lock if is_conditional else nullcontext():
            return self._application(environ, start_response)


def main() -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    application = Watched(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
