"""An explanation in words. Whole texts of whole plans are in tests/commands/test_explain.py."""

import time
from dataclasses import replace

import pytest

from stages.explain.explanation import LOWER_BOUND
from stages.explain.plan import Explanation, Step
from stages.explain.wording import describe, mark_words
from stages.history.expectation import Expectation
from stages.keys import JsonValue
from stages.store.verdict import Reason
from tests.builders import build_node

LONG_S = 20  # of computing; it took days
STEP = Step(build_node("denoise"), ("demo",), "run", (), Expectation(60.0, "1 equal run"), 1000)


def explanation(*steps: Step, **changes: object) -> Explanation:
    found = Explanation(steps, (), {"demo": "A circle."}, 0.0, 0, {}, ())
    return replace(found, **changes)  # type: ignore[arg-type]


def lines(*steps: Step, **changes: object) -> list[str]:
    return [*describe(explanation(*steps, **changes))]


def say(field: str, before: JsonValue, now: JsonValue) -> str:
    """The line of one reason."""
    return lines(replace(STEP, reasons=(Reason(field, before, now),)))[2].strip()


@pytest.mark.parametrize(
    ("field", "before", "now", "text"),
    [
        ("denoise.guidance_scale", 6.0, 7.5, "guidance_scale 6.0 -> 7.5"),
        ("denoise.flow_shift", None, 5.0, "flow_shift unset -> 5.0"),
        ("decode.enable_tiling", False, True, "enable_tiling false -> true"),
        ("encode.prompt", "", "A cat.", 'prompt "" -> "A cat."'),
        ("encode.prompt", "A red cat.", "A blue cat.", "prompt: A [red -> blue] cat."),
        ("denoise.from_file", "1" * 32, "2" * 32, "from_file: another file"),
        ("denoise.from_file", "1" * 32, None, "from_file: computed again, from no file"),
        ("components.vae", "1" * 32, "o/n@1", "component vae: 111111111111 -> o/n@1"),
        ("components.vae", None, "1" * 32, "component vae: none -> 111111111111"),
        ("key.encode", "1", "2", "made from another encode"),
        ("key.encode", None, "2", "made from encode"),
        ("key.encode", "1", None, "made from no encode"),
        ("inputs.encode", "1", "2", "encode has other bytes now"),
        ("code.denoise/attention/splash.py", "1", "2", "denoise/attention/splash.py changed"),
        ("code.denoise/new.py", None, "2", "denoise/new.py is new"),
        ("code.denoise/old.py", "1", None, "denoise/old.py is gone"),
        ("code", "1", "2", "the code of denoise changed"),
        ("state", None, "absent", "never made"),
        ("state", "fresh", "absent", "removed, after it was made"),
        ("payload", 5, None, "damaged: the file is not there"),
        ("digest", "1", "2", "damaged: the file was edited, or has other bytes"),
        ("digest", "1", None, "damaged: the file cannot be read"),
        ("manifest", None, "no JSON", "damaged: its manifest cannot be read"),
    ],
)
def test_a_reason_is_a_line(field: str, before: JsonValue, now: JsonValue, text: str):
    assert say(field, before, now) == text


def test_of_a_long_prompt_the_words_that_differ_are_shown_with_some_around_them():
    before = "one two three four five six seven eight nine ten"
    assert mark_words(before, before.replace("five", "5")) == "… two three four [five -> 5] six seven eight …"
    assert mark_words("a b", "a b c") == "a b [+ -> c]"
    assert mark_words("a b c", "a b") == "a b [c -> -]"


def test_texts_of_a_hundred_thousand_words_are_compared_at_once():
    start, words = time.process_time(), "a " * 200_000
    assert mark_words(f"{words}b", f"{words}c") == "… a a a [b -> c]"
    assert mark_words(f"b {words}", f"c {words}") == "[b -> c] a a a …"
    assert mark_words(f"b {words}d", f"c {words}e").startswith("[b a a a")
    assert mark_words(words, f"{words}a") == "… a a a [+ -> a]"
    assert time.process_time() - start < LONG_S


def test_no_line_has_more_than_80_columns_however_long_a_prompt_is():
    words = " ".join(f"word{number}" for number in range(1000))
    step = replace(STEP, reasons=(Reason("encode.prompt", words, words.replace("word5", "other")),))
    assert max(map(len, lines(step, prompts={"demo": words}))) == 80


def test_orders_to_a_terminal_are_shown_as_text():
    step = replace(STEP, reasons=(Reason("encode.prompt", "a b", "a \x1b[2J"),))
    assert "\x1b" not in "".join(lines(step, prompts={"demo": "\x1b[2J"}))


def test_a_node_of_several_videos_stands_at_the_first_and_names_the_others():
    found = lines(replace(STEP, videos=("demo", "second")), prompts={"demo": "A circle.", "second": "A circle."})
    assert found[0] == 'demo: "A circle."'
    assert found[2] == "    also for second"
    assert not any(line.startswith("second") for line in found)


def test_a_node_stands_at_a_video_that_was_asked_for_also_when_another_comes_before():
    found = lines(replace(STEP, videos=("alpha", "demo")))
    assert found[0] == 'demo: "A circle."'
    assert found[2] == "    also for alpha"


def test_a_lower_bound_is_said_to_be_one():
    found = lines(replace(STEP, expectation=Expectation(60.0, LOWER_BOUND)))
    assert " at least 1 min " in found[1]
    assert found[-1] == "to run: at least 1 min, 1.00 kB written"


def test_chips_that_are_kept_busy_are_counted():
    found = lines(replace(STEP, expectation=Expectation(60.0, "1 equal run", num_chips=8)))
    assert found[-1] == "to run: about 1 min, 8 min of chips, 1.00 kB written"


def test_what_takes_no_time_is_not_said_to_take_none():
    assert " under 0.1 s " in lines(replace(STEP, expectation=Expectation(0.01, "1 equal run")))[1]


def test_videos_that_are_up_to_date_are_named_together():
    steps = [replace(STEP, videos=(name,), outcome="fresh") for name in "abcde"]
    assert lines(*steps, prompts=dict.fromkeys("abcde", "A circle.")) == [
        "up to date: a, b, c and 2 more",
        "nothing to run",
    ]


def test_a_video_that_shares_all_its_nodes_is_up_to_date_as_they_are():
    prompts = {"demo": "A circle.", "twin": "A circle."}
    step = replace(STEP, videos=("demo", "twin"), outcome="fresh")
    assert lines(step, prompts=prompts)[0] == "up to date: demo, twin"
    assert not any("up to date" in line for line in lines(replace(step, outcome="run"), prompts=prompts))


def test_with_all_each_of_them_is_shown():
    steps = [replace(STEP, videos=(name,), outcome="fresh") for name in "ab"]
    found = [*describe(explanation(*steps, prompts=dict.fromkeys("ab", "A circle.")), shows_all=True)]
    assert [line for line in found if not line.startswith(" ")] == [
        'a: "A circle."',
        'b: "A circle."',
        "nothing to run",
    ]


def test_of_no_task_there_is_nothing_to_do():
    assert lines(prompts={}) == ["nothing to do"]
