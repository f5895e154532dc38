"""The preloaded library of shim.c: how it is compiled, and how it is told which call fails."""

import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.once import make_once

_SOURCE = Path(__file__).with_name("shim.c")
_COMPILERS = ("cc", "gcc", "clang")
_REQUIRED = "REQUIRE_COMPILER"  # a variable: without a compiler, tests fail in place of being skipped
_CONTROL = struct.Struct("=5q")  # of shim.c: calls so far, first and last that fail, errno, signal
_FOR_EVER = 2**62


def build_shim(factory: pytest.TempPathFactory) -> Path:
    """The library. Skips the test where there is no C compiler."""
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        if os.environ.get(_REQUIRED):
            pytest.fail("there is no C compiler; .ci/run installs one")
        pytest.skip("there is no C compiler (cc, gcc, clang)")

    def make(folder: Path) -> None:
        command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", folder / "shim.so", _SOURCE]
        subprocess.run(command, check=True)

    return make_once(factory, "shim", make) / "shim.so"


@dataclass(frozen=True)
class Shim:
    """The library, for the calls below one folder. It counts those that write, make, rename or sync.

    Attributes:
        library: shared object.
        control: a file that this process and all that are watched map.
        folder: below which calls count.
    """

    library: Path
    control: Path
    folder: Path

    def variables(self, record: Path | None = None) -> Mapping[str, str]:
        """Variables of a process that is watched with its children; until `arm`, nothing fails.

        Args:
            record: a file for all calls and their bytes (power_loss.py); None keeps none.
        """
        self.control.write_bytes(bytes(mmap.PAGESIZE))
        variables = {
            "LD_PRELOAD": str(self.library),
            "SHIM_FOLDER": str(self.folder.resolve()),
            "SHIM_CONTROL": str(self.control),
        }
        if record is None:
            return variables
        record.write_bytes(b"")
        return {**variables, "SHIM_RECORD": str(record)}

    def arm(self, at: int, *, errno: int = 0, signal: int = 0, is_sticky: bool = False) -> None:
        """Count anew, and let a call fail.

        Args:
            at: number of the call, from 1; 0 for none.
            errno: with which it fails.
            signal: that its process gets in place of that, before the call.
            is_sticky: whether all later calls fail as well, as on a full disk.
        """
        self._write(0, at, _FOR_EVER if is_sticky else at, errno, signal)

    def disarm(self) -> int:
        """Let nothing fail any more; the calls since `arm`."""
        count = self.count
        self._write(0, 0, 0, 0, 0)
        return count

    @property
    def count(self) -> int:
        """Calls since `arm`."""
        with self.control.open("rb") as file:
            count, *_ = _CONTROL.unpack(file.read(_CONTROL.size))
        return int(count)

    @property
    def failed(self) -> Path:
        """The file or folder that the last call which failed was about, from the folder that is watched."""
        path = self.control.read_bytes()[_CONTROL.size :].partition(b"\0")[0]
        return Path(os.fsdecode(path)).relative_to(self.folder.resolve())

    def _write(self, *values: int) -> None:
        with self.control.open("r+b") as file:
            file.write(_CONTROL.pack(*values))
