"""What is known, for people and for scripts."""

import json

from stages.keys import ArtifactId, Digest, Key
from stages.provenance.record import Made, Record
from stages.provenance.show import to_json, to_text

KEY, CODE = Key("0" * 32), Digest("c" * 32)
VERSIONS = {f"library{number}": "1.2.3" for number in range(6)}
RUN = {"host": "vm", "device": "cpu", "started": "later", "versions": VERSIONS}
ENCODE = Made("encode", KEY, {"prompt": "a cat 猫", "dtype": "float32"}, {"text_encoder": "e" * 32}, CODE, RUN)


def record_of(*made: Made, **more: object) -> Record:
    return Record("a.mp4", "a video", "its own metadata", made, **more)  # type: ignore[arg-type] # names of fields


def test_people_read_prompt_parameters_model_code_and_versions():
    assert to_text(record_of(ENCODE), lambda _: CODE) == (
        "a.mp4: a video, by its own metadata\n"
        "prompt: a cat 猫\n"
        "\n"
        f"encode  {KEY}\n"
        '  dtype   "float32"\n'
        '  prompt  "a cat 猫"\n'
        "  model\n"
        f"    text_encoder  {'e' * 32}\n"
        f"  code  {CODE} (as here)\n"
        "  made  later on vm (cpu)\n"
        "  with  library0 1.2.3, library1 1.2.3, library2 1.2.3, library3 1.2.3, library4\n"
        "        1.2.3, library5 1.2.3\n"
    )


def test_other_code_is_shown_beside_that_of_here_within_80_columns():
    text = to_text(record_of(ENCODE), lambda _: "d" * 32)
    assert f"  code  {CODE} (here {'d' * 32})\n" in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_is_not_known_is_said():
    made = Made("upscale", KEY, {}, {})
    text = to_text(record_of(made, missing=(ArtifactId("encode", KEY),), notes=("it was edited",)), lambda _: None)
    assert text == (
        "a.mp4: a video, by its own metadata\n"
        f"\nupscale  {KEY}\n  code  not known\n"
        f"\nencode  {KEY}\n  not known: its manifest is not in the store\n"
        "\nVersions, device and time are not in a file; they stand in the store that made it.\n"
        "\nnote: it was edited.\n"
    )


def test_code_of_a_stage_that_is_not_here_is_shown_with_that():
    assert f"  code  {CODE} (no such stage here)\n" in to_text(record_of(ENCODE), lambda _: None)


def test_nothing_in_it_is_an_order_to_a_terminal():
    evil = "\x1b[2J\r\n\u202e"
    made = Made(
        "encode", KEY, {"prompt": evil, evil: evil}, {evil: evil}, None, {"host": evil, "versions": {evil: evil}}
    )
    text = to_text(Record(evil, "a video", "itself", [made]), lambda _: None)
    assert text.replace("\n", "").isprintable()
    assert json.dumps(to_json(record_of(made), lambda _: None)).isprintable()


def test_scripts_read_the_same():
    assert to_json(record_of(ENCODE, missing=(ArtifactId("x", KEY),), notes=("hm",)), lambda _: "d" * 32) == {
        "name": "a.mp4",
        "file": "a video",
        "origin": "its own metadata",
        "prompt": "a cat 猫",
        "stages": [
            {
                "stage": "encode",
                "key": KEY,
                "parameters": {"prompt": "a cat 猫", "dtype": "float32"},
                "components": {"text_encoder": "e" * 32},
                "code": CODE,
                "code_here": "d" * 32,
                "versions": VERSIONS,
                "started": "later",
                "host": "vm",
                "device": "cpu",
            }
        ],
        "missing": [{"stage": "x", "key": KEY}],
        "notes": ["hm"],
    }


def test_a_run_of_another_form_says_nothing():
    made = Made("encode", KEY, {}, {}, None, {"versions": [1], "host": 7, "started": {}, "device": None})
    (stage,) = to_json(record_of(made), lambda _: None)["stages"]
    assert (stage["versions"], stage["host"], stage["started"], stage["device"]) == (None, None, None, None)
    assert "made" not in to_text(record_of(made), lambda _: None)


def test_a_prompt_of_5000_characters_is_shown_whole_and_one_that_fills_the_screen_for_minutes_is_cut():
    for length, is_whole in ((5000, True), (1_000_000, False)):
        prompt = "猫" * length
        text = to_text(record_of(Made("encode", KEY, {"prompt": prompt}, {})), lambda _: None)
        assert (f"prompt: {prompt}\n" in text, f'  prompt  "{prompt}"\n' in text) == (is_whole, is_whole)
        assert len(text) < 50_000
