"""Reading a component's settings: whatever the file holds, a message says what, where and the fix."""

from pathlib import Path

import pytest

from stages.errors import CheckpointError
from stages.models.settings import (
    TEXT,
    TRUE_OR_FALSE,
    Rule,
    Settings,
    above_zero,
    count,
    find_faults,
    find_unknown,
    list_of,
    only,
    read_settings,
    refuse_faulty,
    require_class,
)

WHERE = Path("vae/config.json")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def test_settings_are_those_of_the_file(file: Path):
    file.write_text('{"_class_name": "Ü", "shift": 1e3, "layers": [1, 2]}', encoding="utf-8")
    assert read_settings(file) == Settings(file, {"_class_name": "Ü", "shift": 1000.0, "layers": [1, 2]})


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b'{"_class_name": "Flow', "Unterminated string starting at: line 1 column 17 (char 16)"),
        (b'{"shift": NaN}', "NaN is no number"),
        (b'{"shift": -Infinity}', "-Infinity is no number"),
        (b'{"shift": 1e400}', "1e400 is too large"),
        (b'{"shift": 18446744073709551616}', "18446744073709551616 is too large"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"shift": "\xff"}', "'utf-8' codec can't decode byte 0xff in position 11: invalid start byte"),
    ],
)
def test_a_file_that_is_not_json_is_refused(file: Path, content: bytes, fault: str):
    file.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        read_settings(file)
    assert str(error.value) == f"{file}: not JSON ({fault}). Download or copy the checkpoint again."


def test_a_number_of_ten_thousand_digits_is_refused(file: Path):
    file.write_text(f'{{"shift": {"1" * 10_000}}}')
    with pytest.raises(CheckpointError, match="not JSON"):
        read_settings(file)


def test_a_file_without_settings_is_refused(file: Path):
    file.write_text("[]")
    with pytest.raises(CheckpointError) as error:
        read_settings(file)
    assert str(error.value) == (
        f"{file}: not JSON with settings, but of type list. Download or copy the checkpoint again."
    )


def test_a_missing_file_is_a_fault_of_the_checkpoint(file: Path):
    with pytest.raises(CheckpointError) as error:
        read_settings(file)
    assert str(error.value) == (
        f"{file}: cannot be read (No such file or directory). Download or copy the checkpoint again."
    )


def test_settings_of_another_class_are_refused():
    with pytest.raises(CheckpointError) as error:
        require_class(Settings(WHERE, {"_class_name": "AutoencoderKLWan"}), "AutoencoderKLHunyuanVideo15")
    assert str(error.value) == (
        "vae/config.json: holds 'AutoencoderKLWan', not AutoencoderKLHunyuanVideo15. "
        "Use a checkpoint of HunyuanVideo-1.5."
    )


def test_unknown_settings_are_named_but_not_the_files_own():
    settings = Settings(WHERE, {"_class_name": "x", "shift": 1, "shft": 1, "beta": 1})
    assert find_unknown(settings, ["shift"]) == [
        "`beta` is not a setting of this model",
        "`shft` is not a setting of this model",
    ]


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (only(65), [65], [65.0, True, "65", None]),
        (only(0.0), [0, 0.0], [False, 0.1, "0", None, []]),
        (only(False), [False], [0, None, True]),
        (count(), [1, 2**16], [0, -3, 1.0, True, "1", None, 2**16 + 1]),
        (count(0, most=3), [0, 3], [-1, 4]),
        (above_zero(), [1, 1e-30, 1e300], [0, -1.0, float("nan"), float("inf"), True, "3", None]),
        (above_zero(most=64.0), [64], [64.5]),
        (list_of(count()), [[1], [2, 3]], [[], [0], "12", 1, None]),
        (list_of(count(), length=2), [[1, 2], (1, 2)], [[1], [1, 2, 3], [1, "2"]]),
        (TRUE_OR_FALSE, [True, False], [0, 1, "true", None]),
        (TEXT, [""], [None, 1]),
    ],
)
def test_rules(rule: Rule, good: list[object], bad: list[object]):
    assert [value for value in good if not rule.holds(value)] == []
    assert [value for value in bad if rule.holds(value)] == []


def test_a_fault_says_the_value_and_the_rule():
    rules = {
        "layers": count(most=9),
        "shift": above_zero(),
        "ratio": above_zero(64.0),
        "axes": list_of(count(), length=3),
    }
    assert find_faults({"layers": 0, "ratio": 65, "axes": [1]}, rules) == [
        "`shift` is missing",
        "`layers` is 0, not a whole number from 1 to 9",
        "`ratio` is 65, not a finite number above 0, at most 64",
        "`axes` is [1], not a list of 3, each a whole number from 1 to 65536",
    ]


def test_all_faults_are_in_one_message():
    refuse_faulty([], where=WHERE)
    with pytest.raises(CheckpointError) as error:
        refuse_faulty(["`a` is 1, not 2", "`b` is missing"], where=WHERE)
    assert str(error.value) == (
        "vae/config.json: this checkpoint cannot be run:\n"
        "  `a` is 1, not 2\n"
        "  `b` is missing\n"
        "  Use a checkpoint of HunyuanVideo-1.5 whose settings are as diffusers writes them."
    )


@pytest.mark.parametrize(
    ("version", "is_said"), [("0.43.0", True), ("1.0.0.dev0", True), ("0.42.1", False), ("0.9", False), ("x", False)]
)
def test_of_settings_that_a_newer_diffusers_has_its_version_is_said(version: str, is_said: bool):
    newer = f"it was written by diffusers {version}, and what is known here is 0.42"
    faults = find_unknown(Settings(WHERE, {"_diffusers_version": version, "sharpness": 1.0}), ["shift"])
    assert faults == ["`sharpness` is not a setting of this model", *([newer] if is_said else [])]
    assert find_unknown(Settings(WHERE, {"_diffusers_version": version, "shift": 1.0}), ["shift"]) == []


def test_of_a_long_value_or_an_odd_name_a_message_says_little():
    rules = {"layers": Rule("a number", lambda value: isinstance(value, int))}
    (fault,) = find_faults({"layers": [1] * 1_000_000}, rules)
    (unknown,) = find_unknown(Settings(WHERE, {"evil\x1b]0;": 1}), ["shift"])
    assert len(fault) < 400
    assert "\x1b" not in unknown
