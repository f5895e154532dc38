"""How far the reading of files is."""

import io
import re

import pytest
from rich.console import Console

from stages.run.byte_progress import show_bytes, size, speed

GIB = 2**30


def test_without_a_terminal_it_is_a_line_from_time_to_time():
    screen = io.StringIO()
    with show_bytes("verify", Console(file=screen, soft_wrap=True), line_every_s=0.0) as observe:
        observe(0, 4 * GIB)
        observe(GIB, 4 * GIB)
    line = r"verify: 1\.00 GiB of 4\.00 GiB, [\d.]+ GiB/s, 0\.0 s left\n"
    assert re.fullmatch(line, screen.getvalue())


def test_short_work_prints_no_line():
    screen = io.StringIO()
    with show_bytes("verify", Console(file=screen)) as observe:
        observe(GIB, GIB)
    assert screen.getvalue() == ""


def test_on_a_terminal_it_is_a_bar_that_goes_away():
    screen = io.StringIO()
    with show_bytes("verify", Console(file=screen, force_terminal=True, width=100)) as observe:
        observe(GIB, 4 * GIB)
    assert "1.0/4.0 GiB" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0.0 MiB"), (1_500_000, "1.4 MiB"), (GIB - 1, "1024.0 MiB"), (3 * GIB // 2, "1.50 GiB")],
)
def test_bytes_read_as_people_count_them(size_bytes: int, text: str):
    assert size(size_bytes) == text
    assert speed(size_bytes, 1.0) == f"{text}/s"
    assert speed(0, 0.0) == "0.0 MiB/s"
