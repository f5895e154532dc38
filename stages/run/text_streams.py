"""What this process prints can be any text, whatever encoding its stdout has, and is not lost without a word."""

import atexit
import errno
import io
import os
import select
import signal
import sys
from types import FrameType
from typing import Final

_STANDARD: Final = (0, _STDOUT := 1, 2)  # descriptors of stdin, stdout and stderr
_FAILURE: Final = 1
_REDIRECT: Final = "Send it to a file with room, or to /dev/null."


def accept_any_text(encoding: str | None = None) -> None:
    r"""Print characters that stdout or stderr cannot encode as `\u4e2d` from now on, where Python would raise.

    Otherwise a warning that quotes a prompt would end the job that it is about.

    Args:
        encoding: of both streams from now on; None: what they have.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not what a notebook or a test has put there
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def from_command_line(text: str) -> str:
    """An argument as it was typed: the text of its bytes in UTF-8, where the locale has no character for some.

    A locale such as C makes lone surrogates of all bytes beyond ASCII; bytes that are no UTF-8 either stay so.
    """
    if text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text):
        return text
    typed = text.encode(sys.getfilesystemencoding(), "surrogateescape")
    try:
        return typed.decode()
    except UnicodeDecodeError:
        return text


def open_standard_streams() -> str | None:
    """Open what this process was started without: what is opened later would take its place, and be written to.

    Returns:
        What is wrong with stdout, where it was closed, so that nobody would see what is printed; else None.
    """
    closed = [number for number in _STANDARD if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin, sys.stdout, sys.stderr = (
        stream or os.fdopen(number, "r" if number == 0 else "w", closefd=False)
        for number, stream in zip(_STANDARD, (sys.stdin, sys.stdout, sys.stderr), strict=True)
    )
    return f"stdout: is closed. {_REDIRECT}" if _STDOUT in closed else None


def find_fault_of_stdout(error: BaseException | None = None) -> str | None:
    """What keeps stdout from taking what was printed, or None. What it could not take is dropped.

    Nothing is said of a reader who has seen enough and left, such as `head`.

    Args:
        error: that ended what was being done; of a write, Python does not say to which file.
    """
    try:
        sys.stdout.flush()
    except OSError as refusal:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDOUT)  # or Python tries again when it ends
        os.close(nowhere)
        error = refusal
    if isinstance(error, OSError) and error.filename is None and error.strerror and error.errno != errno.EPIPE:
        return f"what is printed cannot be written ({error.strerror}). {_REDIRECT}"
    return None


def end_when_nobody_reads() -> None:
    """From now on this process ends without a word once who reads its stdout has left, such as `head`.

    For commands that would print a traceback of the BrokenPipeError. Other pipes raise it as ever. In the main thread.
    """
    signal.signal(signal.SIGPIPE, _end_if_nobody_reads)  # it runs before the error can be caught
    atexit.register(find_fault_of_stdout)


def _end_if_nobody_reads(_number: int, _frame: FrameType | None) -> None:
    poll = select.poll()
    poll.register(_STDOUT, 0)
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        os._exit(_FAILURE)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
