"""Which number each combination of a sweep has: `.sweeps.json` in the store, beside the links that have these names.

A number that is remembered stays with its combination, whatever is added to the sweep later (0034). Written by runs
that make something, whole, and renamed into its place. It is a decision that nothing else in the store repeats, so a
file that cannot be read is an error, and not empty.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from stages.errors import StoreError
from stages.machine.json_files import read_json
from stages.machine.regular_files import reason_of
from stages.store.drafts import Drafts
from stages.store.replace_file import read_whole, write_file

SWEEPS = ".sweeps.json"

# By sweep (its name and the parameters that differ), by combination (a digest of their values): its number, from 1.
Numbers: TypeAlias = Mapping[str, Mapping[str, int]]


class SweepNumbers:
    """The numbers of a store's file; without one, none is known."""

    def __init__(self, root: Path) -> None:
        """`root` is the store's folder."""
        self._root = root
        self._file = root / SWEEPS

    def read(self) -> Numbers:
        """All that are remembered.

        Raises:
            StoreError: the file cannot be read, or holds something else.
        """
        try:
            return read_whole(self._read, self._root)
        except (OSError, ValueError) as error:
            raise self._refusal(error) from error

    def add(self, new: Numbers) -> None:
        """Remember numbers. One that another run has given meanwhile, to a combination or as a number, stays.

        Raises:
            StoreError: as `read`, or the file cannot be written.
        """
        try:
            with Drafts(self._root).exclusive():  # another run may add some, too
                before = self._read()
                after = {**before, **{sweep: _join(before.get(sweep, {}), own) for sweep, own in new.items()}}
                if after != before:
                    write_file(self._file, json.dumps(after, indent=1) + "\n", is_synced=True)
        except ValueError as error:
            raise self._refusal(error) from error
        except OSError as error:
            raise StoreError(
                f"{self._file}: cannot be written ({error.strerror}). Make room or fix its permissions, and run it "
                "again; nothing has changed."
            ) from error

    def _read(self) -> Numbers:
        """Raises OSError, and ValueError where it holds something else."""
        try:
            numbers = read_json(self._file)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        if not (isinstance(numbers, dict) and all(map(_are_numbers, numbers.values()))):
            raise ValueError("it holds no numbers of sweeps")
        return numbers

    def _refusal(self, error: Exception) -> StoreError:
        return StoreError(
            f"{self._file}: cannot be read ({reason_of(error)}). It holds the numbers of the videos of sweeps: correct "
            "it, or delete it, and they are counted anew."
        )


def _join(before: Mapping[str, int], new: Mapping[str, int]) -> dict[str, int]:
    taken = {*before.values()}
    added = {combination: number for combination, number in new.items() if number not in taken}
    return {**added, **before}


def _are_numbers(numbers: object) -> bool:
    """Whether each is a whole number from 1, and no two are the same."""
    if not isinstance(numbers, dict):
        return False
    found = [*numbers.values()]
    return all(type(number) is int and number > 0 for number in found) and len({*found}) == len(found)
