"""What is loaded and compiled, and how often; and what is still in memory then."""

import gc
import weakref
from typing import Any

import pytest

from stages.machine.executables import Executable, Program, compile_in_memory


class Compiler:
    """Compiles programs in memory, and lists their names."""

    def __init__(self) -> None:
        self.compiled: list[str] = []

    def __call__(self, program: Program) -> Executable:
        self.compiled.append(program.name)
        return compile_in_memory(program)


def watch_loads(monkeypatch: pytest.MonkeyPatch, model: type[Any]) -> list[weakref.ref[Any]]:
    """What `model.load` gives from now on, once for each call; it fails when an earlier one is still in memory."""
    loaded: list[weakref.ref[Any]] = []
    load = model.load

    def load_watched(*arguments: Any, **options: Any) -> Any:
        gc.collect()
        assert not any(earlier() for earlier in loaded)
        new = load(*arguments, **options)
        loaded.append(weakref.ref(new))
        return new

    monkeypatch.setattr(model, "load", load_watched)
    return loaded
