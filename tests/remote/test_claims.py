"""Of several machines with stores of their own, one makes an artifact."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from stages.machine.holder import Holder
from stages.remote.claims import Claims
from tests.remote.memory_bucket import MemoryBucket

NAME = "claims/encode/key/variant.json"


def build(bucket: MemoryBucket, **seconds: float) -> Claims:
    return Claims(bucket, **{"beat_s": 0.02, "look_s": 0.02, "patience_s": 30.0, **seconds})


def never(holder: Holder | None, waited_s: float) -> None:
    raise AssertionError(f"waited for {holder} for {waited_s} s")


def test_who_comes_first_has_it_and_gives_it_back():
    bucket = MemoryBucket()
    with build(bucket).hold(NAME, never) as before:
        assert before is None
        assert NAME in bucket.objects
    assert NAME not in bucket.objects


def test_one_of_several_has_it_at_a_time():
    bucket, lock, num_inside, most = MemoryBucket(), threading.Lock(), 0, 0

    def make(_number: int) -> bool:
        nonlocal num_inside, most
        with build(bucket).hold(NAME, lambda _holder, _waited_s: None) as before:
            with lock:
                num_inside += 1
                most = max(most, num_inside)
            time.sleep(0.03)
            with lock:
                num_inside -= 1
        return before is not None

    with ThreadPoolExecutor(6) as threads:
        have_waited = [*threads.map(make, range(6))]
    assert most == 1
    assert have_waited.count(False) >= 1


def test_who_waits_hears_who_has_it():
    bucket, heard = MemoryBucket(), list[Holder | None]()

    def note(holder: Holder | None, _waited_s: float) -> None:
        heard.append(holder)
        raise TimeoutError

    with build(bucket).hold(NAME, never), pytest.raises(TimeoutError), build(bucket).hold(NAME, note):
        pass
    assert [type(holder) for holder in heard] == [Holder]


def test_one_whose_holder_is_gone_is_taken_over():
    bucket = MemoryBucket({NAME: (b"{}", 0.0)})
    with build(bucket, patience_s=0.1).hold(NAME, lambda _holder, _waited_s: None):
        assert bucket.get(NAME) != b"{}"


def test_a_holder_that_puts_it_anew_is_not_taken_over():
    bucket = MemoryBucket()
    with (
        build(bucket).hold(NAME, never),
        pytest.raises(TimeoutError),
        build(bucket, patience_s=0.2).hold(NAME, _give_up_after(0.5)),
    ):
        pass


def test_who_has_lost_it_leaves_it_to_the_other():
    bucket = MemoryBucket()
    with build(bucket).hold(NAME, never):
        bucket.objects[NAME] = (b"another's", 0.0)
    assert bucket.get(NAME) == b"another's"


def test_one_that_was_deleted_is_put_again_by_who_has_it():
    bucket = MemoryBucket()
    with build(bucket).hold(NAME, never):
        bucket.delete([NAME])
        until = time.monotonic() + 10
        while NAME not in bucket.objects and time.monotonic() < until:
            time.sleep(0.01)
        with pytest.raises(TimeoutError), build(bucket).hold(NAME, _give_up_after(0.0)):
            pass
    assert NAME not in bucket.objects


def _give_up_after(limit_s: float) -> Callable[[Holder | None, float], None]:
    def wait(_holder: Holder | None, waited_s: float) -> None:
        if waited_s > limit_s:
            raise TimeoutError

    return wait
