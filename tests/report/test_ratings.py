"""Ratings and notes in the project's file."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.errors import ParamsError
from stages.report.ratings import FILE, check_rating, read_ratings, save_rating

KEY = "a" * 32
RATING = {"video": "demo", "rating": 4, "note": "better hands"}


def test_a_rating_is_kept(tmp_path: Path):
    save_rating(tmp_path, KEY, RATING)
    assert read_ratings(tmp_path) == {KEY: RATING}


def test_a_project_without_the_file_has_none(tmp_path: Path):
    assert read_ratings(tmp_path) == {}


def test_one_that_says_nothing_any_more_is_taken_out(tmp_path: Path):
    save_rating(tmp_path, "b" * 32, RATING)
    save_rating(tmp_path, KEY, RATING)
    save_rating(tmp_path, KEY, {"video": "demo", "rating": 0, "note": ""})
    assert [*json.loads((tmp_path / FILE).read_text())] == ["b" * 32]


def test_a_note_may_hold_any_text(tmp_path: Path):
    save_rating(tmp_path, KEY, {**RATING, "note": "\ud800 <script> \u2028 夜"})
    assert "夜" in (tmp_path / FILE).read_text(encoding="utf-8")
    assert read_ratings(tmp_path)[KEY]["note"].endswith("<script> \u2028 夜")


@pytest.mark.parametrize(
    ("key", "entry", "why"),
    [
        ("demo", RATING, "'demo' is not the key of a video"),
        (KEY, {**RATING, "rating": 6}, "`rating` is not a whole number from 0 to 5"),
        (KEY, {**RATING, "rating": True}, "`rating` is not a whole number from 0 to 5"),
        (KEY, {**RATING, "rating": -1}, "`rating` is not a whole number from 0 to 5"),
        (KEY, {**RATING, "note": "a" * 10_001}, "`note` is not a text of up to 10000 characters"),
        (KEY, {**RATING, "note": None}, "`note` is not a text of up to 10000 characters"),
        (KEY, {**RATING, "video": ["demo"]}, "`video` is not a name"),
        (KEY, {**RATING, "more": 1}, "an entry has `video`, `rating` and `note`, and nothing else"),
        (KEY, [], "an entry has `video`, `rating` and `note`, and nothing else"),
    ],
)
def test_what_is_no_rating_is_refused(key: str, entry: Any, why: str):
    with pytest.raises(ValueError, match=f"^{why}$"):
        check_rating(key, entry)


@pytest.mark.parametrize(
    ("text", "why"), [("[]", "it is not a JSON object"), ('{"demo": {}}', "'demo' is not the key")]
)
def test_a_file_that_holds_something_else_stops_the_report_and_stays(tmp_path: Path, text: str, why: str):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ParamsError) as error:
        save_rating(tmp_path, KEY, RATING)
    assert str(error.value).startswith(f"ratings.json: cannot be read ({why}")
    assert str(error.value).endswith("It holds the ratings and notes of videos: correct it, or move it away.")
    assert (tmp_path / FILE).read_text() == text
