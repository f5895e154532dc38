"""The scheduling of threads is kept."""

import os
import threading

import pytest

from stages.machine.scheduling import keeping_schedule


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="this system has no such priorities")
def test_threads_that_a_library_has_scheduled_in_another_way_are_scheduled_as_before():
    before, ends = os.sched_getscheduler(0), threading.Event()
    with keeping_schedule():
        thread = threading.Thread(target=ends.wait)
        thread.start()
        os.sched_setscheduler(thread.native_id or 0, os.SCHED_BATCH, os.sched_param(0))
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    found = {os.sched_getscheduler(each) for each in (0, thread.native_id or 0)}
    ends.set()
    thread.join()
    assert found == {before}
