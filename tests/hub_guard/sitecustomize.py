"""Refuses and counts what a process does with a network; Python runs it first where this folder is on PYTHONPATH.

Each attempt becomes a line of the file that NETWORK_ATTEMPTS names. Sockets of the file system are not counted.
"""

import os
import socket
import sys

_EVENTS = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "socket.getnameinfo"}


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in _EVENTS and not (isinstance(arguments[0], socket.socket) and arguments[0].family == socket.AF_UNIX):
        with open(os.environ["NETWORK_ATTEMPTS"], "a", encoding="utf-8") as file:  # noqa: PTH123 (before all else)
            file.write(f"{os.getpid()} {event} {arguments[1:]!r} {sys.argv}\n")
        raise OSError("the network is refused here")


sys.addaudithook(_refuse)
