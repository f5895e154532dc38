"""The bars of a video's page."""

from dataclasses import replace
from pathlib import Path

import pytest

from stages.history.runs import PastRun, Place
from stages.history.work import Work
from stages.keys import ArtifactId, Digest, Key
from stages.report.charts import Bar, Part, draw_memory, draw_times
from stages.report.shown import Step

RUN = PastRun(
    artifact=ArtifactId("denoise", Key("a" * 32)),
    work=Work("denoise", {}, {}, None),
    place=Place("here", "cpu", 1, ()),
    is_first=True,
    was_compiled=True,
    start_s=1.0,
    load_s=2.0,
    compile_s=3.0,
    getting_s=1.0,
    rest_s=4.0,
    step_s=0.5,
    peak_memory_bytes=2_000_000,
    programs=(),
    size_bytes=10,
    started="",
)


def step(stage: str, run: PastRun | None) -> Step:
    return Step(
        ArtifactId(stage, Key("a" * 32)), {}, {}, Digest("b" * 32), 10, is_there=True, recorded_from="", run=run
    )


def test_the_longest_run_is_as_wide_as_the_chart_and_its_phases_stand_side_by_side():
    short = replace(RUN, start_s=0.0, load_s=0.0, compile_s=0.0, rest_s=1.0)
    long, other = draw_times([step("denoise", RUN), step("decode", short)])
    assert [(part.name, part.start, part.width) for part in long.parts] == [
        ("start", 0.0, 10.0), ("load", 10.0, 20.0), ("compile", 30.0, 30.0), ("compute", 60.0, 40.0),
    ]  # fmt: skip
    assert long.text == "10 s"
    assert other == Bar("decode", "1.0 s", (Part("compute", "1.0 s", 0.0, 10.0),))


def test_what_nobody_has_measured_is_said_to_be_unknown():
    assert draw_times([step("encode", None)]) == [Bar("encode", "not known", ())]
    assert draw_memory([step("encode", None)]) == [Bar("encode", "not known", ())]


@pytest.mark.parametrize(("peak", "width"), [(2_000_000, 100.0), (500_000, 25.0)])
def test_memory_is_a_share_of_the_most(peak: int, width: float):
    bars = draw_memory([step("denoise", RUN), step("decode", replace(RUN, peak_memory_bytes=peak))])
    assert bars[1].parts[0].width == width
    assert bars[0].text == "2.00 MB"


def test_the_charts_of_a_page_have_a_text_for_those_who_do_not_see_them(project: Path):
    text = (project / "artifacts/report/videos/demo.html").read_text(encoding="utf-8")
    assert text.count('role="img" aria-label="denoise: ') == 2
