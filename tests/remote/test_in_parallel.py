"""Requests at a time: all of them, no more than allowed, and the first error ends it."""

import threading

import pytest

from stages.remote.in_parallel import map_in_parallel


def test_each_item_comes_with_what_was_made_of_it():
    assert dict(map_in_parallel(lambda number: number * 2, range(50))) == {number: number * 2 for number in range(50)}


def test_nothing_is_asked_of_no_items():
    assert list(map_in_parallel(lambda number: number, [])) == []


def test_as_many_are_done_at_a_time_as_are_allowed():
    barrier, running, most = threading.Barrier(3), 0, 0
    lock = threading.Lock()

    def work(_item: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait(60)  # all three are inside
        with lock:
            running -= 1

    list(map_in_parallel(work, range(6), num_threads=3))
    assert most == 3


def test_the_first_error_is_raised_and_no_further_item_is_begun():
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        raise OSError(f"item {item}")

    with pytest.raises(OSError, match="item 0"):
        list(map_in_parallel(work, range(1000), num_threads=1))
    assert begun == [0]


def test_no_further_item_is_begun_also_while_whoever_takes_them_is_busy():
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        if item == 1:
            raise OSError("item 1")

    others = {*threading.enumerate()}
    found = map_in_parallel(work, range(1000), num_threads=1)
    assert next(found)[0] == 0
    for thread in {*threading.enumerate()} - others:
        thread.join(60)
    assert begun == [0, 1]
    with pytest.raises(OSError, match="item 1"):
        next(found)
