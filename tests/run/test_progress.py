"""How far a running node is, by its events."""

import pytest

from stages.run.progress import Progress


def count(done: int, total: int = 4, unit: str = "step") -> dict[str, object]:
    return {"event": "progress", "done": done, "total": total, "unit": unit}


def follow(*events: tuple[dict[str, object], float]) -> Progress:
    progress = Progress()
    for event, now in events:
        progress = progress.after(event, now)
    return progress


PHASE = {"event": "phase", "name": "download"}


def test_the_first_unit_gives_no_pace_because_it_includes_compiling():
    first = follow((count(0), 0.0), (count(1), 90.0))
    assert (first.unit_s, first.pace, first.left_s(90.0)) == (None, "", None)


def test_from_the_second_unit_on_there_is_a_pace_and_a_time_left():
    progress = follow((count(1), 90.0), (count(2), 92.0), (count(3), 94.0))
    assert (progress.what, progress.pace) == ("step 3/4", "2.00 s/step")
    assert progress.left_s(94.0) == 2.0


def test_the_time_left_goes_down_between_two_units_and_not_below_zero():
    progress = follow((count(1), 0.0), (count(2), 2.0))
    assert [progress.left_s(now) for now in (2.0, 3.0, 9.0)] == [4.0, 3.0, 0.0]


def test_bytes_that_were_there_before_count_for_the_share_and_not_for_the_speed():
    progress = follow((PHASE, 0.0), (count(500, 600, "MiB"), 1.0), (count(510, 600, "MiB"), 2.0))
    assert (progress.what, progress.pace) == ("download 510/600 MiB", "10.0 MiB/s")
    assert progress.left_s(2.0) == pytest.approx(9.0)


def test_a_phase_begins_anew():
    progress = follow((count(1), 0.0), (count(2), 2.0), (PHASE, 3.0))
    assert (progress.what, progress.pace, progress.left_s(3.0)) == ("download", "", None)


def test_other_events_change_nothing():
    progress = follow((count(1), 0.0), (count(2), 2.0))
    assert progress.after({"event": "warning", "message": "careful"}, 3.0) == progress
