"""What a person sees of a running node."""

import io
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from stages.errors import StageError, StoreError
from stages.keys import Node
from stages.run.display import Display, open_display
from stages.run.plan import Plan, PlannedNode
from tests.terminal import plain, seen

NODE = Node("denoise", {"seed": 1}, {}, {})
OTHER = Node("export", {"fps": 8}, {}, {})
THIRD = Node("encode", {"prompt": "a"}, {}, {})
ENDED = {"event": "result", "is_same_as_before": None, "wall_s": 1.0}


def shown_on(*, is_terminal: bool, line_every_s: float = 0.0) -> tuple[Display, io.StringIO]:
    """A display and what it has shown."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=is_terminal, width=100, soft_wrap=True)
    return Display(console, line_every_s=line_every_s), screen


def progress(done: int, total: int) -> dict[str, object]:
    return {"event": "progress", "done": done, "total": total, "unit": "step"}


def test_without_a_terminal_a_node_is_plain_lines():
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("demo", "other"), "absent") as node:
        node({"event": "phase", "name": "load"})
        node(progress(0, 4))
        node(progress(1, 4))
        node(ENDED)
        node.finish(ENDED)
    lines = screen.getvalue().splitlines()
    assert lines[:-1] == [
        f"{NODE.title}  demo, other  (absent)",
        f"{NODE.title}: load, after 0.0 s",
        f"{NODE.title}: step 0/4",
        f"{NODE.title}: step 1/4",
    ]
    assert re.fullmatch(rf"{NODE.title}  made in \d\.\d s", lines[-1])


@pytest.mark.parametrize(("event", "word"), [("note", ""), ("warning", "warning: ")])
def test_what_a_stage_says_stands_above_the_board_as_it_is(event: str, word: str):
    for is_terminal in (False, True):
        display, screen = shown_on(is_terminal=is_terminal)
        with display.show(NODE, ("demo",), "absent") as node:
            node({"event": event, "message": "goes on after [bold]step 7"})
        assert f"{NODE.title}: {word}goes on after [bold]step 7\n" in plain(screen.getvalue())


def test_of_many_videos_a_few_are_named():
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("a", "b", "c", "d", "e"), "absent"):
        pass
    assert screen.getvalue() == f"{NODE.title}  a, b, c and 2 more  (absent)\n"


def test_lines_of_progress_keep_their_distance():
    display, screen = shown_on(is_terminal=False, line_every_s=60.0)
    with display.show(NODE, ("demo",), "absent") as node:
        for done in range(100):
            node(progress(done, 100))
    assert len(screen.getvalue().splitlines()) == 1


def test_pace_and_time_left_are_shown_from_the_second_unit_on():
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("demo",), "absent") as node:
        for done in range(3):
            node(progress(done, 3))
    assert re.search(r"step 2/3, \d+\.\d\d s/step, \d+\.\d s left", screen.getvalue())


def test_of_bytes_the_phase_the_speed_and_the_time_left_are_shown():
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("demo",), "absent") as node:
        node({"event": "phase", "name": "download"})
        for done in (500, 501, 502):  # 500 were there before: they count for the share, not for the speed
            time.sleep(0.05)
            node({"event": "progress", "done": done, "total": 600, "unit": "MiB"})
    lines = [line.removeprefix(f"{NODE.title}: ") for line in screen.getvalue().splitlines()]
    assert lines[1:3] == ["download, after 0.0 s", "download 500/600 MiB"]
    found = re.fullmatch(r"download 502/600 MiB, (\d+\.\d) MiB/s, (\d+\.\d) s left", lines[4])
    assert found
    assert 1 < float(found[1]) < 25
    assert 98 / 25 < float(found[2]) < 98


def test_bytes_that_come_at_once_have_a_speed():
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("demo",), "absent") as node:
        for done in range(100):
            node({"event": "progress", "done": done, "total": 100, "unit": "MiB"})
    assert "MiB/s" in screen.getvalue()


@pytest.mark.parametrize(("same", "ending"), [(None, ""), (True, ", same bytes as before"), (False, ", other bytes")])
def test_the_end_says_whether_the_bytes_are_those_of_before(same: bool | None, ending: str):
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("demo",), "forgotten") as node:
        node.finish({**ENDED, "is_same_as_before": same})
    assert f" s{ending}" in screen.getvalue().splitlines()[-1]
    assert ("bytes" in screen.getvalue()) == bool(ending)


def test_the_end_says_when_the_file_before_was_damaged():
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("demo",), "forgotten") as node:
        node.finish({**ENDED, "is_same_as_before": False, "was_damaged": True})
    assert screen.getvalue().endswith(" s, the bytes that were there before they were damaged\n")


def wait_for(pattern: str, screen: io.StringIO) -> None:
    """The board is drawn by a thread of its own, twice a second."""
    deadline = time.monotonic() + 20
    while not re.search(pattern, plain(screen.getvalue())):
        assert time.monotonic() < deadline, plain(screen.getvalue())
        time.sleep(0.02)


def test_on_a_terminal_each_node_that_runs_has_a_line_and_none_is_left():
    display, screen = shown_on(is_terminal=True)
    with display.show(NODE, ("demo",), "absent") as node:
        wait_for("denoise demo .*waiting", screen)
        with display.show(OTHER, ("demo",), "seed 1 -> 2") as other:
            other({"event": "phase", "name": "export"})
            node(progress(2, 4))
            wait_for(r"denoise demo .*step 2/4\s+export demo .*export", screen)
            other.finish(ENDED)
        node.finish(ENDED)
    display.close()
    assert f"{OTHER.title}  demo  (seed 1 -> 2)\n" in plain(screen.getvalue())
    assert len(re.findall(r"\w+:\w+  demo  made in \d\.\d s\n", plain(screen.getvalue()))) == 2
    assert seen(screen.getvalue()).splitlines()[-1].startswith(f"{NODE.title}  demo  made in ")


def test_after_a_phase_that_is_complete_the_clock_goes_on():
    display, screen = shown_on(is_terminal=True)
    with display.show(NODE, ("demo",), "absent") as node:
        node({"event": "phase", "name": "load"})
        node({"event": "progress", "done": 14, "total": 14, "unit": "MiB"})
        node({"event": "phase", "name": "compile"})
        wait_for(r"0:00:00  compile[^$]*0:00:01  compile", screen)


def test_a_node_after_a_pause_is_shown_again():
    display, screen = shown_on(is_terminal=True)
    for node in (NODE, OTHER):
        with display.show(node, ("demo",), "absent") as shown:
            shown(progress(1, 2))
            wait_for(rf"{node.stage} demo .*step 1/2", screen)


OUTSIDE = "[/x] [bold]bob[/] :smile: \\"  # as a name in another user's lease, or of a file


@pytest.mark.parametrize("is_terminal", [False, True])
def test_text_from_outside_is_shown_as_it_is(*, is_terminal: bool):
    display, screen = shown_on(is_terminal=is_terminal)
    with display.show(NODE, (OUTSIDE,), OUTSIDE) as node:
        node({"event": "warning", "message": OUTSIDE})
        node({"event": "note", "message": OUTSIDE})
        node({"event": "phase", "name": f"waits for {OUTSIDE}"})
        wait_for(re.escape(f"waits for {OUTSIDE}"), screen)
        node.finish({**ENDED, "made_by": OUTSIDE})
    lines = [line.rstrip() for line in plain(screen.getvalue()).splitlines()]
    assert f"{NODE.title}  {OUTSIDE}  ({OUTSIDE})" in lines
    for text in (f"warning: {OUTSIDE}", OUTSIDE):
        assert any(line.endswith(f"{NODE.title}: {text}") for line in lines)
    shown = f"  {OUTSIDE}" if is_terminal else ""
    assert any(line.endswith(f"{NODE.title}{shown}  was made meanwhile by {OUTSIDE}") for line in lines)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_text_from_outside_does_not_steer_the_terminal(*, is_terminal: bool):
    display, screen = shown_on(is_terminal=is_terminal)
    with display.show(NODE, ("demo",), "why\x1b[31m") as node:
        node({"event": "warning", "message": "cut\x1b[31m\x07"})
        node({"event": "phase", "name": "waits\x1b[31m"})
        wait_for(r"waits(\ufffd|\\x1b)\[31m" if is_terminal else r"waits\ufffd\[31m", screen)
    assert "\x1b[31m" not in screen.getvalue()
    assert "\x07" not in screen.getvalue()


def test_a_display_can_be_opened_on_a_file():
    file = io.StringIO()
    display = open_display(file)
    with display.show(NODE, ("demo",), "absent"):
        pass
    display.close()
    assert file.getvalue() == f"{NODE.title}  demo  (absent)\n"


@pytest.mark.parametrize(
    ("maker", "shown"),
    [
        ("bob on tpu-2 (process 1, since 2026-11-29 15:03:05)", "bob on tpu-2 (process 1, since 2026-11-29 15:03:05)"),
        ("", "another run"),
    ],
)
def test_what_another_run_has_made_is_said_with_its_name(maker: str, shown: str):
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("demo",), "absent") as node:
        node.finish({"event": "result", "is_same_as_before": None, "made_by": maker})
    assert screen.getvalue().splitlines()[-1] == f"{NODE.title}  was made meanwhile by {shown}"


def test_a_preview_is_named_as_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("demo",), "absent") as node:
        node({"event": "preview", "path": str(tmp_path / "artifacts/previews/demo.webp")})
    assert screen.getvalue().splitlines()[1] == f"{NODE.title}: preview: artifacts/previews/demo.webp"


def test_on_a_terminal_a_preview_is_a_link(tmp_path: Path):
    display, screen = shown_on(is_terminal=True)
    with display.show(NODE, ("demo",), "absent") as node:
        node({"event": "preview", "path": str(tmp_path / "a b.webp")})
        wait_for(r"preview: ", screen)
    link = re.search(r"\x1b\]8;[^;]*;(\S+)\x1b\\", screen.getvalue())
    assert link
    assert link[1] == f"file://{tmp_path}/a%20b.webp"


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_asks_for_no_colours_or_has_a_dumb_terminal_gets_lines(variables: dict[str, str]):
    screen = io.StringIO()
    display = Display(Console(file=screen, force_terminal=True, _environ=variables), line_every_s=0.0)
    with display.show(NODE, ("demo",), "absent") as node:
        node(progress(1, 4))
    assert screen.getvalue() == f"{NODE.title}  demo  (absent)\n{NODE.title}: step 1/4\n"


def test_a_pipe_gets_lines_whatever_asks_for_colours(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    file = io.StringIO()
    assert not open_display(file).is_live


def test_what_others_print_stands_above_the_board():
    display, screen = shown_on(is_terminal=True)
    with display.show(NODE, ("demo",), "absent"):
        wait_for("waiting", screen)
        with display.above():
            screen.write("by others\n")
        wait_for(r"by others\s+denoise demo", screen)
        shown = seen(screen.getvalue()).splitlines()
    assert shown[0] == "by others"
    assert shown[1].startswith("  denoise demo  0:00:00  waiting")


def test_a_node_that_is_made_is_not_on_the_board_below_the_line_that_says_so():
    display, screen = shown_on(is_terminal=True)
    with display.show(NODE, ("demo",), "absent") as node:
        node(progress(3, 4))
        with display.show(OTHER, ("other",), "absent"):
            wait_for("step 3/4", screen)
            node.finish(ENDED)
            wait_for("made in", screen)
            wait_for(r"made in [^$]*export other", screen)
            assert "step 3/4" not in seen(screen.getvalue())


def test_many_lines_at_once_do_not_each_draw_the_board_again():
    display, screen = shown_on(is_terminal=True)
    with display.show(NODE, ("demo",), "absent"):
        wait_for("waiting", screen)
        for number in range(1000):
            display.print(f"line {number}")
        wait_for(r"line 999\s+denoise demo", screen)
    assert screen.getvalue().count("denoise demo") < 100


def test_a_plan_is_shown_at_once_and_what_earlier_runs_say_when_it_is_known():
    display, screen = shown_on(is_terminal=True)
    basis = Plan(("denoise",), {NODE.title: PlannedNode("denoise", "accelerator")})
    is_read = threading.Event()

    def refine() -> Plan:
        is_read.wait(20)
        return Plan(("denoise",), {NODE.title: PlannedNode("denoise", "accelerator", 600.0)})

    display.plan(basis, refine)
    with display.show(NODE, ("demo",), "absent"):
        wait_for("time left unknown", screen)
        is_read.set()
        wait_for("about 10 min left|about 9 min 59 s left", screen)


def test_a_store_that_cannot_be_read_costs_nothing_but_what_it_would_say():
    def refuse() -> Plan:
        raise StoreError("artifacts: Permission denied.")

    display, _ = shown_on(is_terminal=True)
    display.plan(Plan(("denoise",), {NODE.title: PlannedNode("denoise", "accelerator")}), refuse)
    with display.show(NODE, ("demo",), "absent") as node:
        node.finish(ENDED)
    assert display.summarize() == ["made 1 denoise in 0.0 s"]


def test_a_node_that_raises_has_failed_and_one_that_is_interrupted_has_not():
    display, _ = shown_on(is_terminal=True)
    for node, error in ((NODE, StageError("no")), (OTHER, KeyboardInterrupt())):
        with suppress(StageError, KeyboardInterrupt), display.show(node, ("demo",), "absent"):
            raise error
    with display.show(THIRD, ("demo",), "absent") as made:
        made.finish(ENDED)
    assert display.summarize() == ["made 1 encode in 0.0 s; 1 denoise failed; 1 export interrupted"]


def test_in_a_pipe_there_is_no_summary_and_the_store_is_not_read_for_one():
    def refuse() -> Plan:
        raise AssertionError("read")

    display, _ = shown_on(is_terminal=False)
    display.plan(Plan(), refuse)
    with display.show(NODE, ("demo",), "absent") as node:
        node.finish(ENDED)
    assert display.summarize() == ()


def test_what_was_fetched_is_said_with_its_size():
    display, screen = shown_on(is_terminal=False)
    with display.show(NODE, ("demo",), "on the remote store") as node:
        node.finish({"event": "result", "is_same_as_before": None, "fetched_bytes": 6120})
    last = screen.getvalue().splitlines()[-1]
    assert re.fullmatch(rf"{NODE.title}  fetched in \d\.\d s, 6\.12 kB", last)
