"""Tests of the grammar: it names what is shown, nothing else, and none of the evaluation's sentences."""

import itertools
import re

import numpy as np
import pytest

from training.shapes import words
from training.shapes.captions import TEMPLATES, rules_of, write_caption
from training.shapes.free_wordings import FREE_WORDINGS
from training.shapes.vocabulary import BACKGROUNDS, COLORS, MOTIONS, SHAPES, all_combinations

CAPTIONS_PER_COMBINATION = 12
NAMES_OF_MOTIONS = {
    "right": {"right", "rightward", "rightwards"},
    "left": {"left", "leftward", "leftwards"},
    "up": {"up", "upward", "upwards", "rises", "climbs", "rising"},
    "down": {"down", "downward", "downwards", "falls", "drops", "falling"},
}
CAPTIONS = [
    (combination, write_caption(combination, np.random.default_rng([index, number])))
    for index, combination in enumerate(all_combinations())
    for number in range(CAPTIONS_PER_COMBINATION)
]


QUOTED_PATTERN = r"[^\"“”]+"


def fold(text: str) -> str:
    """Lower case, single spaces, none before punctuation, no full stop: the form in which texts are compared."""
    text = re.sub(r"\s+([,.!;:)])", r"\1", " ".join(text.lower().split()))
    return text.replace("( ", "(").replace(" -", "-").lstrip(",:;. ").rstrip(".!,;: ")


def recognizer() -> re.Pattern[str]:
    """Matches `fold(text)` of every text that the templates can produce for any combination, without noise.

    The pattern is somewhat wider than the grammar: slots of different combinations may mix, commas may lack.
    """
    merged: dict[str, dict[str, None]] = {}
    for combination, is_named in itertools.product(all_combinations(), (True, False)):
        for slot, alternatives in rules_of(combination, names_background=is_named).items():
            merged.setdefault(slot, {}).update(dict.fromkeys(alternatives))
    patterns: dict[str, str] = {"quoted": QUOTED_PATTERN}

    def pattern_of(text: str) -> str:
        pieces = re.split(r"\{(\w+)\}", text)
        return "".join(
            slot_pattern(piece) if index % 2 else re.sub(r"(\\ |\s)+", r"\\s*", re.escape(piece)).replace(",", ",?")
            for index, piece in enumerate(pieces)
        )

    def slot_pattern(slot: str) -> str:
        if slot not in patterns:
            patterns[slot] = "(?:" + "|".join(pattern_of(alternative) for alternative in merged[slot]) + ")"
        return patterns[slot]

    return re.compile("|".join(f"(?:{pattern_of(template)})" for template in TEMPLATES), re.IGNORECASE)


def words_of(caption: str) -> set[str]:
    unquoted = re.sub(r"[\"“][^\"”]*[\"”]", " ", caption.lower())
    return set(re.findall(r"[a-z]+", unquoted))


def test_every_caption_names_its_colour_and_shape_and_no_other() -> None:
    nouns = {shape: set(re.findall(r"[a-z]+", words.NOUNS[shape])) - {"shape", "thing"} for shape in SHAPES}
    for combination, caption in CAPTIONS:
        said = words_of(caption)
        assert {color for color in COLORS if color in said} == {combination.color}, caption
        assert {shape for shape in SHAPES if nouns[shape] & said} == {combination.shape}, caption


def test_every_caption_names_its_background_and_no_other_unless_it_is_black() -> None:
    for combination, caption in CAPTIONS:
        named = {word.replace("grey", "gray") for word in words_of(caption)} & set(BACKGROUNDS)
        allowed = [{combination.background}, set()] if combination.background == "black" else [{combination.background}]
        assert named in allowed, caption


def test_no_caption_names_another_motion_except_the_side_it_comes_from() -> None:
    opposite = {"left": "right", "right": "left"}
    for combination, caption in CAPTIONS:
        said = words_of(caption)
        for motion, names in NAMES_OF_MOTIONS.items():
            comes_from = opposite.get(combination.motion) == motion and "from" in said
            if motion != combination.motion and not comes_from:
                assert not names & said, caption


def test_words_without_meaning_have_none() -> None:
    meaningful = {*COLORS, *SHAPES, *BACKGROUNDS, *MOTIONS, *itertools.chain(*NAMES_OF_MOTIONS.values())}
    assert not meaningful & set(re.findall(r"[a-z]+", words.NOISE))


def test_templates_are_recognised_and_free_wordings_are_not() -> None:
    grammar = recognizer()
    assert grammar.fullmatch(fold("Show me a red circle moving to the right on a white background."))
    assert [prompt for prompt, _ in FREE_WORDINGS if grammar.fullmatch(fold(prompt))] == []


@pytest.mark.parametrize("attribute", ["shape", "color", "motion", "background"])
def test_free_wordings_cover_every_value(attribute: str) -> None:
    tables = {"shape": SHAPES, "color": COLORS, "motion": MOTIONS, "background": BACKGROUNDS}
    assert len(FREE_WORDINGS) == 40
    assert {getattr(expected, attribute) for _, expected in FREE_WORDINGS} == set(tables[attribute])
