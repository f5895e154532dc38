"""Turns at a device, among the threads of one run."""

import threading
import time

from stages.run.turns import Turns


def test_a_turn_that_is_not_waited_for_is_there_or_not():
    turns = Turns()
    with turns.take_if_free() as is_taken:
        assert is_taken
        with turns.take_if_free() as is_taken_twice:
            assert not is_taken_twice
    with turns.take(1), turns.take_if_free() as is_taken:
        assert not is_taken
    with turns.take_if_free() as is_taken:
        assert is_taken


def test_who_gives_up_waits_no_more_and_keeps_nobody_waiting():
    turns, given_up, has_turn = Turns(), threading.Event(), list[bool]()

    def wait() -> None:
        with turns.take(1, given_up.is_set) as is_taken:
            has_turn.append(is_taken)

    with turns.take(2):
        thread = threading.Thread(target=wait)
        thread.start()
        while not turns.num_waiting:
            time.sleep(0.001)
        given_up.set()
        turns.look_again()
        thread.join(60)
        assert has_turn == [False]
    with turns.take(3) as is_taken:
        assert is_taken


def test_of_the_jobs_that_wait_for_a_device_the_earliest_stage_goes_first_and_alone():
    turns, order, running = Turns(), [], []

    def work(rank: int) -> None:
        with turns.take(rank):
            running.append(rank)
            assert running == [rank]
            order.append(rank)
            running.remove(rank)

    threads = [threading.Thread(target=work, args=[rank]) for rank in (3, 1, 2, 1)]
    with turns.take(3):
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while turns.num_waiting < len(threads) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == [1, 1, 2, 3]
