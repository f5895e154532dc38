"""What a terminal shows of what was written to it, and a program that is run on one."""

import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path

_UP, _ERASE_BELOW = re.compile(r"\r(?:\x1b\[(\d+)A)?"), "\x1b[J"
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\|\r")


def plain(text: str) -> str:
    """The text without what steers a terminal."""
    return _STEERING.sub("", text)


def seen(written: str) -> str:
    """What can be read at the end, on a terminal without an end of its lines.

    Understood is what this project writes: up to the begin of a line above, the erasing of what is below or to the end
    of the line, and a line in place of the one before. Anything else that steers is left out.
    """
    lines, row = [""], 0
    _, *pieces = _UP.split(f"\r{written}".replace("\r\n", "\n"))
    for up, piece in zip(pieces[::2], pieces[1::2], strict=True):
        row -= int(up or 0)
        for line in re.findall(r"[^\n]*\n|[^\n]+", piece):
            is_last = _ERASE_BELOW in line
            lines[row:] = [plain(line.rstrip("\n"))] if is_last else [plain(line.rstrip("\n")), *lines[row + 1 :]]
            if line.endswith("\n"):
                row += 1
                lines += [""] * (row + 1 - len(lines))
    return "\n".join(lines).rstrip("\n")


def run_on_terminal(
    command: Sequence[str], *, cwd: Path, variables: Mapping[str, str], width: int = 80, height: int = 24
) -> tuple[int, str]:
    """The exit code of a program whose stdin, stdout and stderr are one terminal, and all that it wrote."""
    terminal, other_end = pty.openpty()
    ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    with subprocess.Popen(
        command, cwd=cwd, env=dict(variables), stdin=other_end, stdout=other_end, stderr=other_end
    ) as process:
        os.close(other_end)
        written = b""
        while piece := _read(terminal):
            written += piece
    os.close(terminal)
    return process.returncode, written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 12)
    except OSError:  # how Linux says that the other end is closed
        return b""
