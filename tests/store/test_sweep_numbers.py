"""The file that remembers the numbers of combinations of sweeps."""

import threading
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.store.sweep_numbers import SWEEPS, SweepNumbers
from tests.builders import acting_as_nobody


def test_numbers_that_were_added_are_read_again(tmp_path: Path):
    SweepNumbers(tmp_path).add({"harbour denoise.seed": {"a": 1}})
    SweepNumbers(tmp_path).add({"harbour denoise.seed": {"b": 2}, "demo export.fps": {"c": 1}})
    assert SweepNumbers(tmp_path).read() == {"harbour denoise.seed": {"a": 1, "b": 2}, "demo export.fps": {"c": 1}}


def test_without_a_file_none_is_known_and_none_is_made(tmp_path: Path):
    assert SweepNumbers(tmp_path / "store").read() == {}
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_would_stay_as_it_is_is_not_written(tmp_path: Path):
    numbers = SweepNumbers(tmp_path)
    numbers.add({"s": {"a": 1}})
    before = (tmp_path / SWEEPS).stat()
    numbers.add({"s": {"a": 1}})
    after = (tmp_path / SWEEPS).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_number_that_another_run_has_given_meanwhile_stays(tmp_path: Path):
    numbers = SweepNumbers(tmp_path)
    numbers.add({"s": {"a": 1, "b": 2}})
    numbers.add({"s": {"a": 3, "c": 2, "d": 4}})
    assert numbers.read() == {"s": {"a": 1, "b": 2, "d": 4}}


def test_runs_at_the_same_time_lose_nothing(tmp_path: Path):
    sweeps = [f"sweep{number}" for number in range(16)]
    threads = [threading.Thread(target=SweepNumbers(tmp_path).add, args=[{name: {"a": 1}}]) for name in sweeps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert SweepNumbers(tmp_path).read() == {name: {"a": 1} for name in sweeps}


def test_in_a_sticky_store_each_user_adds_to_the_others_numbers(tmp_path: Path):
    tmp_path.chmod(0o1777)
    SweepNumbers(tmp_path).add({"s": {"a": 1}})
    with acting_as_nobody(tmp_path):
        SweepNumbers(tmp_path).add({"s": {"b": 2}})
    assert SweepNumbers(tmp_path).read() == {"s": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("[]", "it holds no numbers of sweeps"),
        ('{"s": 1}', "it holds no numbers of sweeps"),
        ('{"s": {"a": true}}', "it holds no numbers of sweeps"),
        ('{"s": {"a": 0}}', "it holds no numbers of sweeps"),
        ('{"s": {"a": 1, "b": 1}}', "it holds no numbers of sweeps"),
    ],
)
def test_a_file_that_holds_something_else_is_an_error(tmp_path: Path, text: str, reason: str):
    (tmp_path / SWEEPS).write_text(text)
    with pytest.raises(StoreError) as refused:
        SweepNumbers(tmp_path).read()
    assert str(refused.value) == (
        f"{tmp_path / SWEEPS}: cannot be read ({reason}). It holds the numbers of the videos of sweeps: correct it, or "
        "delete it, and they are counted anew."
    )
