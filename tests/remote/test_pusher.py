"""Pushes while a run goes on: in a thread, one after the other, and what fails is known at the end."""

import threading
from collections.abc import Callable

import pytest

from stages.errors import RemoteError, StoreError
from stages.keys import ArtifactId, Key
from stages.remote.pusher import Outcome, Pusher
from stages.remote.upload import Pushed

ONE, TWO = ArtifactId("encode", Key("1" * 32)), ArtifactId("denoise", Key("2" * 32))


def ignore(*_numbers: int) -> None:
    pass


def push_all(artifact: ArtifactId, observe: Callable[[int], None]) -> Pushed:
    observe(10)
    return Pushed(10 if artifact == ONE else 0, is_first=True)


def test_all_that_was_added_is_pushed():
    pusher = Pusher(push_all)
    pusher.add(ONE, 10)
    pusher.add(TWO, 10)
    assert pusher.wait(ignore) == Outcome(2, 10, {})
    assert pusher.is_idle


def test_nothing_is_started_where_nothing_is_added():
    num_threads = threading.active_count()
    assert Pusher(push_all).wait(ignore) == Outcome()
    assert threading.active_count() == num_threads


def test_adding_does_not_wait():
    is_free = threading.Event()

    def push(_artifact: ArtifactId, _observe: Callable[[int], None]) -> Pushed:
        assert is_free.wait(60)
        return Pushed(1, is_first=True)

    pusher = Pusher(push)
    pusher.add(ONE, 1)
    assert not pusher.is_idle
    assert pusher.outcome() == Outcome(0, 0, {ONE: "the run has ended before"})
    is_free.set()
    assert pusher.wait(ignore).num_pushed == 1


def test_whoever_waits_sees_bytes_that_are_there_and_all():
    seen: list[tuple[int, int]] = []
    pusher = Pusher(push_all)
    pusher.add(ONE, 10)
    pusher.add(TWO, 30)
    pusher.wait(lambda done, total: seen.append((done, total)))
    assert all(done <= total == 40 for done, total in seen)


def test_what_is_damaged_here_keeps_nothing_else_from_being_pushed():
    def push(artifact: ArtifactId, _observe: Callable[[int], None]) -> Pushed:
        if artifact == ONE:
            raise StoreError("it is damaged")
        return Pushed(5, is_first=True)

    pusher = Pusher(push)
    pusher.add(ONE, 1)
    pusher.add(TWO, 1)
    assert pusher.wait(ignore) == Outcome(1, 5, {ONE: "it is damaged"})


def test_where_the_remote_store_does_not_answer_nothing_more_is_tried():
    asked: list[ArtifactId] = []

    def push(artifact: ArtifactId, _observe: Callable[[int], None]) -> Pushed:
        asked.append(artifact)
        raise RemoteError("it is away")

    pusher = Pusher(push)
    pusher.add(ONE, 1)
    pusher.add(TWO, 1)
    assert pusher.wait(ignore) == Outcome(0, 0, {ONE: "it is away", TWO: "it is away"})
    assert asked == [ONE]


def test_what_is_added_again_before_its_turn_is_pushed_again_and_is_left_only_if_that_fails():
    is_free, faults = threading.Event(), [StoreError("it is damaged"), None]

    def push(_artifact: ArtifactId, _observe: Callable[[int], None]) -> Pushed:
        assert is_free.wait(60)
        if (fault := faults.pop(0)) is not None:
            raise fault
        return Pushed(5, is_first=True)

    pusher = Pusher(push)
    pusher.add(ONE, 1)
    pusher.add(ONE, 1)
    is_free.set()
    assert pusher.wait(ignore) == Outcome(1, 5, {})
    assert faults == []


def test_who_is_interrupted_while_waiting_learns_what_is_left():
    is_free = threading.Event()

    def push(_artifact: ArtifactId, _observe: Callable[[int], None]) -> Pushed:
        assert is_free.wait(60)
        return Pushed(1, is_first=True)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    pusher = Pusher(push)
    pusher.add(ONE, 1)
    with pytest.raises(KeyboardInterrupt):
        pusher.wait(interrupt)
    assert list(pusher.outcome().left) == [ONE]
    is_free.set()
    pusher.wait(ignore)
