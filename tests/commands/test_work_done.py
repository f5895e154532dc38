"""What is printed of work that is done, where stdout does not take it."""

import sys
from collections.abc import Callable

import pytest

from stages.commands.work_done import print_work
from tests.full_stream import UNPRINTED, FullStream, UnreadStream


def report() -> None:
    print("one")
    print("two")


def test_what_can_be_printed_is_all_that_is_said(capsys: pytest.CaptureFixture[str]):
    assert print_work(report, "pinned: demo")
    assert capsys.readouterr() == ("one\ntwo\n", "")


@pytest.mark.parametrize(
    ("stream", "fault"),
    [(FullStream, UNPRINTED), (UnreadStream, "what is printed cannot be written (nobody reads it).")],
)
def test_what_cannot_be_printed_is_said_with_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stream: Callable[[], FullStream], fault: str
):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream())
        assert not print_work(report, "pinned: demo")
    assert capsys.readouterr() == ("", f"{fault} Done all the same: pinned: demo.\n")


def test_where_nothing_was_done_the_error_of_stdout_is_the_callers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", FullStream())
    with pytest.raises(OSError, match="No space left on device"):
        print_work(report, "")


def test_an_error_of_a_file_is_none_of_stdout():
    def read() -> None:
        raise PermissionError(13, "Permission denied", "artifacts/videos")

    with pytest.raises(PermissionError):
        print_work(read, "pinned: demo")
