"""The screen that is opened when the first node is shown."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from stages.keys import Node
from stages.run.display import Display
from stages.run.plan import Plan, PlannedNode
from stages.run.runner import Event
from stages.run.screen import LazyScreen, SilentScreen

NODE = Node("denoise", {"seed": 1}, {}, {})
PLANNED = PlannedNode("denoise", lane="accelerator")


class RecordingScreen:
    """Remembers what it was asked to show."""

    def __init__(self) -> None:
        self.shown: list[object] = []

    @contextmanager
    def show(self, node: Node, videos: tuple[str, ...], reason: str) -> Iterator["RecordingScreen"]:
        self.shown.append((node.title, videos, reason))
        yield self

    def __call__(self, event: Event) -> None:
        self.shown.append(event["event"])

    def finish(self, result: Event) -> None:
        self.shown.append(result["event"])

    def plan(self, basis: Plan, refine: Callable[[], Plan]) -> None:
        self.shown.append(("plan", basis, refine()))

    def settle(self, title: str, *, is_needless: bool) -> None:
        self.shown.append((title, is_needless))

    @contextmanager
    def above(self) -> Iterator[None]:
        self.shown.append("above")
        yield

    def summarize(self) -> Sequence[str]:
        return ["made 1 encode"]

    def close(self) -> None:
        self.shown.append("closed")


def test_what_is_shown_on_it_reaches_the_screen_that_it_opens():
    real = RecordingScreen()
    screen = LazyScreen(lambda: real)
    with screen.show(NODE, ("demo",), "absent") as view:
        view({"event": "phase", "name": "load"})
        view.finish({"event": "result"})
    screen.close()
    assert real.shown == [(NODE.title, ("demo",), "absent"), "phase", "result", "closed"]


def test_the_plan_waits_until_the_screen_is_opened():
    real, basis, refined = RecordingScreen(), Plan(("denoise",)), Plan(("denoise",), {NODE.title: PLANNED})
    screen = LazyScreen(lambda: real)
    screen.plan(basis, lambda: refined)
    assert real.shown == []
    with screen.show(NODE, ("demo",), "absent"):
        pass
    assert real.shown == [("plan", basis, refined), (NODE.title, ("demo",), "absent")]


def test_what_a_reporter_says_reaches_the_screen_once_it_is_open():
    real = RecordingScreen()
    screen = LazyScreen(lambda: real)
    screen.settle("encode:0", is_needless=True)
    with screen.above():
        assert screen.summarize() == ()
    with screen.show(NODE, ("demo",), "absent"):
        pass
    screen.settle("encode:1", is_needless=False)
    with screen.above():
        assert screen.summarize() == ["made 1 encode"]
    assert real.shown[1:] == [("encode:1", False), "above"]


def test_several_nodes_at_a_time_share_one_screen():
    opened: list[RecordingScreen] = []
    together = threading.Barrier(4)

    def open_screen() -> RecordingScreen:
        opened.append(RecordingScreen())
        return opened[-1]

    screen = LazyScreen(open_screen)

    def show() -> None:
        together.wait(timeout=10)
        with screen.show(NODE, ("demo",), "absent"):
            pass

    threads = [threading.Thread(target=show) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(real.shown) for real in opened] == [4]


def test_one_that_has_shown_nothing_opens_none_when_it_is_closed():
    def refuse() -> RecordingScreen:
        raise AssertionError("opened")

    LazyScreen(refuse).close()


def test_by_default_a_node_is_shown_on_stdout(capsys: pytest.CaptureFixture[str]):
    screen = LazyScreen()
    with screen.show(NODE, ("demo",), "absent"):
        pass
    screen.close()
    assert capsys.readouterr().out == f"{NODE.title}  demo  (absent)\n"


def test_what_draws_is_not_loaded_before_a_node_is_shown():
    program = "import sys; from stages.run.screen import LazyScreen; LazyScreen().close(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "stages.run.screen" in loaded
    assert not {"rich", Display.__module__} & set(loaded)


def test_a_silent_screen_shows_nothing(capsys: pytest.CaptureFixture[str]):
    screen = SilentScreen()
    with screen.show(NODE, ("demo",), "absent") as view:
        view({"event": "warning", "message": "careful"})
        view.finish({"event": "result"})
    screen.plan(Plan(), Plan)
    screen.settle("encode:1", is_needless=True)
    with screen.above():
        assert screen.summarize() == ()
    screen.close()
    assert capsys.readouterr() == ("", "")
