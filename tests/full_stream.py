"""A stdout that takes nothing."""

import errno
import io
import os

UNPRINTED = "what is printed cannot be written (No space left on device). Send it to a file with room, or to /dev/null."


class FullStream(io.StringIO):
    """As stdout of `PYTHONUNBUFFERED=1 doit > /dev/full`."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class UnreadStream(io.StringIO):
    """As stdout of `PYTHONUNBUFFERED=1 doit | true`."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
