"""Who holds something, in words and in a file."""

import json
import os
import socket
from dataclasses import asdict, replace

import pytest

from stages.machine import holder as holder_module
from stages.machine.holder import Holder, read_holder, this_machine

HOLDER = Holder("alice", "tpu-1", 4711, "another machine", "2026-11-29T15:03:05", "a" * 16)


def test_a_holder_is_this_process_on_this_machine():
    holder = Holder.here()
    assert (holder.host, holder.process) == (socket.gethostname(), os.getpid())
    assert holder.is_of_this_machine
    assert not HOLDER.is_of_this_machine


def test_two_holders_of_one_process_differ():
    assert Holder.here().token != Holder.here().token


def test_the_machine_stays_the_same():
    assert this_machine() == this_machine() != ""


def test_a_holder_is_read_back_whatever_else_is_said_beside_it():
    assert read_holder(json.dumps({**asdict(HOLDER), "count": 7}).encode()) == HOLDER


def test_people_see_who_and_since_when():
    assert str(HOLDER) == "alice on tpu-1 (process 4711, since 2026-11-29 15:03:05)"


@pytest.mark.parametrize("since", ["then", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_is_none_or_out_of_reach_is_shown_as_it_stands(since: str):
    assert f"since {since})" in str(Holder("alice", "tpu-1", 4711, "", since, ""))


def test_this_process_is_one_that_others_can_read_whatever_its_user_and_host_are_called(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(socket, "gethostname", lambda: "h" * 200 + "\x1b")
    monkeypatch.setattr(holder_module, "_user", lambda: "\x1b[2Jalice")
    here = Holder.here()
    assert (here.host, here.user) == ("h" * 100, "?[2Jalice")
    assert read_holder(json.dumps(asdict(here)).encode()) == here


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0" * 9,
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 10**5,
        json.dumps({**asdict(HOLDER), "process": "1"}).encode(),
        json.dumps({**asdict(HOLDER), "process": 10**20}).encode(),
        b'{"process": ' + b"1" * 5000 + b"}",
        json.dumps({**asdict(HOLDER), "user": "\x1b[2J"}).encode(),
        json.dumps({**asdict(HOLDER), "since": "one\nline more"}).encode(),
        json.dumps({**asdict(HOLDER), "host": "\u202etpu"}).encode(),
        json.dumps({**asdict(HOLDER), "host": "\ud800"}).encode(),
        json.dumps({**asdict(HOLDER), "host": "h" * 101}).encode(),
    ],
    ids=[
        "empty", "zeros", "cut", "a list", "nothing", "no text", "deep", "a wrong type", "no process", "many digits",
        "steers a terminal", "lines", "turns text round", "half a character", "long",
    ],
)  # fmt: skip
def test_what_is_no_holder_is_none(text: bytes):
    assert read_holder(text) is None


def test_what_a_file_says_of_a_holder_gives_no_orders_to_a_terminal():
    holder = replace(HOLDER, user="\x1b[2J", host="tpu\n1", since="\x07")
    assert str(holder) == "\\x1b[2J on tpu 1 (process 4711, since \\x07)"
