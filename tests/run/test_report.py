"""What a running stage reports."""

import time

import pytest

from stages.run.report import Report


def test_a_report_knows_the_steady_pace_of_each_unit():
    report = Report(lambda _: None)
    with report.phase("denoise"):
        time.sleep(0.2)  # of the first unit: compiling, or what else is done once
        for done in range(1, 5):
            report.progress(done, 4, "step")
            time.sleep(0.01)
    with report.phase("load"):
        report.progress(1, 1, "MiB")
    assert report.steady_s.keys() == {"step"}
    assert float(str(report.steady_s["step"])) < float(str(report.wall_s["denoise"])) / 4


def test_a_report_sends_events_and_times_phases():
    events = []
    report = Report(events.append)
    with report.phase("load"):
        report.progress(1, 3, "step")
    report.warn("careful")
    report.note("goes on")
    report.note_joining()
    assert events == [
        {"event": "phase", "name": "load"},
        {"event": "progress", "done": 1, "total": 3, "unit": "step"},
        {"event": "warning", "message": "careful"},
        {"event": "note", "message": "goes on"},
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
    report = Report(lambda _: None)
    for _ in range(3):
        with report.phase("load"):
            time.sleep(0.05)
    assert 0.15 <= report.wall_s["load"] < 1
