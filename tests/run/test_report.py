"""What a running stage reports."""

from pathlib import Path

import pytest

from stages.run.report import Report


def clock_of(*moments_s: float):
    """A clock that tells these moments, one after the other."""
    return iter(moments_s).__next__


def test_a_report_knows_the_steady_pace_of_each_unit():
    # The first step takes 7 s: it compiles, or does what else is done once. Of the others one is slow.
    report = Report(lambda _: None, clock_of(100, 107, 109, 114, 116, 116.5, 200, 200.25, 201))
    with report.phase("denoise"):
        for done in range(1, 5):
            report.progress(done, 4, "step")
    with report.phase("load"):
        report.progress(1, 1, "MiB")
    assert report.steady_s == {"step": 2}
    assert report.wall_s == {"denoise": 16.5, "load": 1}


def test_a_report_sends_events_and_times_phases():
    events = []
    report = Report(events.append)
    with report.phase("load"):
        report.progress(1, 3, "step")
    report.warn("careful")
    report.note("goes on")
    report.show_preview(Path("/previews/demo.webp"))
    report.note_joining()
    assert events == [
        {"event": "phase", "name": "load"},
        {"event": "progress", "done": 1, "total": 3, "unit": "step"},
        {"event": "warning", "message": "careful"},
        {"event": "note", "message": "goes on"},
        {"event": "preview", "path": "/previews/demo.webp"},
        {"event": "joining"},
    ]
    assert list(report.wall_s) == ["load"]


def test_what_a_stage_says_is_saved_when_it_is_interrupted_until_it_is_complete():
    report, saved = Report(lambda _: None), []
    report.interrupt()
    report.when_interrupted(lambda: saved.append(1))
    report.interrupt()
    with pytest.raises(ZeroDivisionError), report.completing():
        raise ZeroDivisionError
    report.interrupt()
    with report.completing():
        pass
    report.interrupt()
    assert saved == [1, 1]


def test_a_phase_that_is_entered_again_adds_up():
    report = Report(lambda _: None, clock_of(0, 0.5, 10, 10.25, 20, 21))
    for _ in range(3):
        with report.phase("load"):
            pass
    assert report.wall_s == {"load": 1.75}
