"""Lines at the end of a terminal, as the terminal sees them: rows of cells are counted by hand."""

import io
import os
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console
from rich.text import Text

from stages.run.region import Above, Region


def region(width: int = 20, height: int = 10) -> tuple[Region, Console, io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, height=height, soft_wrap=True)
    return Region(console), console, screen


def written(screen: io.StringIO) -> str:
    """What was written since the last time."""
    text = screen.getvalue()
    screen.seek(0)
    screen.truncate()
    return text


def test_lines_are_drawn_over_those_before_without_a_moment_in_which_they_are_gone():
    drawn, _, screen = region()
    drawn.draw([Text("one"), Text("two")])
    assert written(screen) == "\rone\x1b[K\ntwo\x1b[K\n\x1b[J"
    drawn.draw([Text("three")])
    assert written(screen) == "\r\x1b[2Athree\x1b[K\n\x1b[J"


def test_what_has_not_changed_is_not_written():
    drawn, _, screen = region()
    drawn.draw([Text("one")])
    written(screen)
    drawn.draw([Text("one")])
    assert written(screen) == ""


def test_where_nothing_is_drawn_and_nothing_is_to_be_drawn_nothing_is_written():
    drawn, _, screen = region()
    drawn.clear()
    drawn.draw([])
    drawn.draw([Text("one")])
    drawn.clear()
    written(screen)
    drawn.draw([])
    assert written(screen) == ""


def test_nothing_is_left_when_it_is_cleared():
    drawn, _, screen = region()
    drawn.draw([Text("one"), Text("two")])
    written(screen)
    assert not drawn.is_bare
    drawn.clear()
    assert drawn.is_bare
    assert written(screen) == "\r\x1b[2A\x1b[J"


def test_what_is_printed_stands_above():
    drawn, console, screen = region()
    drawn.draw([Text("one")])
    written(screen)
    drawn.clear()
    console.print("a long line that the terminal wraps")
    drawn.draw([Text("one")])
    assert written(screen) == "\r\x1b[1A\x1b[Ja long line that the terminal wraps\n\rone\x1b[K\n\x1b[J"


def test_a_terminal_that_has_become_narrower_has_wrapped_the_lines():
    drawn, console, screen = region(width=20)
    drawn.draw([Text("x" * 19), Text("two")])
    written(screen)
    console.width = 8
    drawn.draw([Text("y" * 7)])
    assert written(screen).startswith("\r\x1b[4Ayyyyyyy")  # three rows and one


def test_it_never_goes_up_further_than_the_terminal_is_high():
    drawn, console, screen = region(width=20, height=4)
    drawn.draw([Text("x" * 19)] * 3)
    written(screen)
    console.width = 2
    drawn.clear()
    assert written(screen).startswith("\r\x1b[3A")


def test_lines_that_are_forgotten_stay():
    drawn, _, screen = region()
    drawn.draw([Text("one")])
    written(screen)
    drawn.forget()
    drawn.draw([Text("one")])
    assert written(screen) == "\rone\x1b[K\n\x1b[J"


def test_the_cursor_is_left_alone_and_so_is_the_screen():
    drawn, _, screen = region()
    drawn.draw([Text("one")])
    drawn.clear()
    assert "\x1b[?" not in screen.getvalue()


def test_what_others_print_comes_in_whole_lines():
    stream, marks = io.StringIO(), []

    @contextmanager
    def above():
        marks.append(stream.getvalue())
        yield

    proxy = Above(stream, above)
    print("one", end="", file=proxy)
    assert (stream.getvalue(), marks) == ("", [])
    print(" line\nand a beg", end="", file=proxy)
    assert (stream.getvalue(), marks) == ("one line\n", [""])
    proxy.finish()
    assert stream.getvalue() == "one line\nand a beg"


def test_all_else_is_asked_of_the_stream_itself():
    with Path(os.devnull).open("w", encoding="latin-1") as stream:
        proxy = Above(stream, nullcontext)
        assert (proxy.encoding, proxy.fileno(), proxy.isatty()) == ("latin-1", stream.fileno(), False)
        proxy.writelines(["one\n", "two"])
        proxy.flush()
