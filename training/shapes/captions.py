"""The grammar of the captions: what a combination may be called."""

import re
from collections.abc import Mapping

import numpy as np

from training.shapes import words
from training.shapes.vocabulary import Combination

TEMPLATES = (  # the first stands there twice, so it is drawn twice as often
    "{lead} {subject} {how} {moves} {where} {ground_end} {stop}",
    "{lead} {subject} {how} {moves} {where} {ground_end} {stop}",
    "{subject} {moves} {ground_end} {stop}",
    "{subject} {moves} {how} {ground_end} {stop}",
    "{lead} {subject} {moving} {how} {ground_end} {stop}",
    "{lead} {subject} {moving} {ground_end} {stop}",
    "{lead} {subject} that {moves} {where} {ground_end} {stop}",
    "{lead} {subject} {ground_end} {moving} {stop}",
    "{lead} {subject} {ground_end} that {moves} {stop}",
    "{subject} {ground_end} {how} {moves} {stop}",
    "{subject} {ground_end} , {moving} {stop}",
    "{ground_start} {subject} {how} {moves} {where} {stop}",
    "{ground_start} {lead} {subject} {moving} {stop}",
    "{ground_start} {inverted} {subject} {stop}",
    "{inverted} {subject} {ground_end} {stop}",
    "{lead} {a} {described} {thing} {ground_end} {stop}",
    "{moving} {how} , {subject} {ground_end} {stop}",
    "{tinted} {noun} {tag} {ground_tag} {stop}",
    "{tinted} {noun} , {tag} , {ground_tag} {stop}",
    "{ground_tag} , {tinted} {noun} , {tag}",
    "{noun} {color} {tag} {ground_tag}",
    "let {subject} {move} {ground_end} {stop}",
    "{subject} should {move} {ground_end} {stop}",
    "make {subject} {move} {ground_end} {stop}",
    "{a} {noun} {moves} {ground_end} . it is {color} {stop}",
    "{a} {noun} {moves} {ground_end} , the {noun} is {color} {stop}",
    "it is {a} {thing} and it {moves} {ground_end} {stop}",
    "there is {subject} {ground_end} . it {moves} {stop}",
    "{lead} {subject} ( {tag} ) {ground_end} {stop}",
)
BLACK_UNNAMED = 0.45  # share of the captions on black that do not name the background: unnamed means black
NOISE_SHARE = 0.25  # share of captions with one to three words of no meaning dropped in somewhere
RANDOM_QUOTE_SHARE = 0.5  # of the quoted texts: random letters instead of a listed word
SLOT = re.compile(r"\{(\w+)\}")


def _motion_rules(motion: str) -> dict[str, str]:
    """The slots that tell of the motion: finite, infinitive, participle, before a noun, as a tag, inverted."""
    if motion == "still":
        return dict(words.STILL)
    side = {"side": words.SIDES[motion], "picture": words.PICTURE}
    moves = "{go} {side}|{go} {side}|{go} {how} {side}|is {going} {side}|is {gone} {side}|starts {going} {side}"
    rules = {
        "moves": f"{moves}|makes its way {{side}}|keeps {{going}} {{side}}",
        "move": "{go_on} {side}",
        "moving": "{going} {side}|{going} {side}|{going} {how} {side}|{gone} {side}|which {go} {side}"
        "|on its way {side}",
        "described": "{bare} {going}|{bare} -{going}",
        "bare": f"{motion}|{motion}|{motion}ward|{motion}wards",
        "tag": "{side}|{side}|{going} {side}|motion {side}|direction {bare}|{bare}",
        "inverted": "{side} {go}|{side} {go}|{bare} {go}",
    }
    if motion in words.OWN_VERBS:
        finite, infinitive, participle = words.OWN_VERBS[motion]
        rules["moves"] += "|{own_s}|{own_s}|{own_s} {how}|{own_s} {side}|is {own_ing}|{own_s} {side}"
        rules["move"] += "|{own}|{own} {side}"
        rules["moving"] += "|{own_ing}|{own_ing}|{own_ing} {side}"
        rules["described"] += "|{own_ing}|{own_ing}"
        rules |= {"own_s": finite, "own": infinitive, "own_ing": participle}
    return rules | side


def rules_of(combination: Combination, *, names_background: bool) -> Mapping[str, tuple[str, ...]]:
    """Every slot's alternatives for this combination; the background's slots are empty if it is not named."""
    ground = "gray|grey" if combination.background == "gray" else combination.background
    rules = words.COMMON | {"noun": words.NOUNS[combination.shape], "color": combination.color, "ground": ground}
    rules |= _motion_rules(combination.motion)
    for place, alternatives in words.GROUNDS.items():
        rules[f"ground_{place}"] = alternatives if names_background else ""
    return {slot: tuple(alternatives.split("|")) for slot, alternatives in rules.items()}


def write_caption(combination: Combination, rng: np.random.Generator) -> str:
    """A random caption of `combination`; now and then with quoted text or words of no meaning in it."""
    names_background = combination.background != "black" or rng.random() > BLACK_UNNAMED
    rules = rules_of(combination, names_background=names_background)

    def expand(match: re.Match[str]) -> str:
        slot = match.group(1)
        if slot == "quoted":
            return _quoted_text(rng)
        alternatives = rules[slot]
        return SLOT.sub(expand, alternatives[rng.integers(len(alternatives))])

    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    caption = " ".join(SLOT.sub(expand, template).split()).replace(" -", "-")
    if rng.random() < NOISE_SHARE:
        caption = _drop_in_noise(caption, rng)
    return caption.lstrip(", ")


def _quoted_text(rng: np.random.Generator) -> str:
    if rng.random() < RANDOM_QUOTE_SHARE:
        return "".join(chr(rng.integers(ord("A"), ord("Z") + 1)) for _ in range(rng.integers(1, 9)))
    listed = words.QUOTED.split("|")
    return listed[rng.integers(len(listed))]


def _drop_in_noise(caption: str, rng: np.random.Generator) -> str:
    noise, parts = words.NOISE.split("|"), caption.split()
    for _ in range(rng.integers(1, 4)):
        parts.insert(rng.integers(len(parts) + 1), noise[rng.integers(len(noise))])
    return " ".join(parts)
