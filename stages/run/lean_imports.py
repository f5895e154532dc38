"""Importing the module that does a program's work without the parts of libraries that it never uses.

Libraries import what they find installed, and packages import all that they hold: most of the seconds that a process
takes to start are of that kind. A program says in `<package>/lean.py` what it can do without. That is true of its own
process only: so it is used there (program.py), and not where somebody imports the package as a library.
docs/decisions/0025-first-minute.md says what is left out, and what that saves.
"""

import gc
import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class LeanImports:
    """What the libraries of a program import, and the program does not need.

    Attributes:
        absent: packages that a library does without when they are not installed.
        inert: packages whose names libraries need only to define functions and classes. While they are imported, such
            a package and all below it have every name: as a decorator it leaves a function as it is, as a class it has
            no instances.
        unavailable: packages that say by their `is_available` whether they can be used, as parts of torch do. While
            libraries are imported they say no; one that remembers the answer does without them from then on.
        libraries: packages that import these, and are imported anew where they do not do without.
    """

    absent: tuple[str, ...] = ()
    inert: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def import_program(package: str) -> ModuleType:
    """The module `edge` of a program, without what its module `lean` names, if it has one."""
    edge, lean = f"{package}.edge", f"{package}.lean"
    with _keeping_all():
        return import_lean(edge, importlib.import_module(lean).LEAN if find_spec(lean) else LeanImports())


def import_lean(module: str, lean: LeanImports) -> ModuleType:
    """Import a module without what it does not need, or with all of it where a library does not do without.

    Afterwards, what was left out can be imported as ever. A library that does not do without is said on stderr, which
    is the process's log.
    """
    before = set(sys.modules)
    try:
        with _saying_no(lean.unavailable), _leaving_out(lean):
            return importlib.import_module(module)
    except Exception as error:  # another version of a library may need more, and fail in any way
        print(f"{module}: imported with all that libraries ask for, because of {error!r}", file=sys.stderr)
        own = module.partition(".")[0]
        for name in set(sys.modules) - before:  # a library may have noted that something is absent, and gone on
            if name.partition(".")[0] in (own, *lean.libraries):
                del sys.modules[name]
                _detach(name)
        return importlib.import_module(module)


class _Inert(ModuleType):
    """A package that has every name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_InertName,), {})


class _InertName:
    """As a decorator, with options or without, it gives back what it decorates."""

    def __new__(cls, decorated: Any = None, *_arguments: Any, **_options: Any) -> Any:
        return (lambda function: function) if decorated is None else decorated


class _Finder:
    """Python's finder of modules for inert packages. The public names are those of its protocol."""

    def __init__(self, lean: LeanImports) -> None:
        self._lean = lean

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        """How a module is loaded; None where this finder has nothing to say."""
        if any(name == package or name.startswith(f"{package}.") for package in self._lean.inert):
            return spec_from_loader(name, self, is_package=True)  # type: ignore[arg-type]  # has what it needs of it
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An inert module."""
        return _Inert(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


@contextmanager
def _keeping_all() -> Iterator[None]:
    """Look for no garbage in this block, and never for any in what it leaves: half a million objects that stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def _saying_no(packages: tuple[str, ...]) -> Iterator[None]:
    """Have packages say in this block that they are not available."""
    answers = {}
    try:
        for package in map(importlib.import_module, packages):
            answers[package] = vars(package)["is_available"]
            vars(package)["is_available"] = lambda: False
        yield
    finally:
        for package, answer in answers.items():
            vars(package)["is_available"] = answer


@contextmanager
def _leaving_out(lean: LeanImports) -> Iterator[None]:
    """Leave things out in this block; whatever has been imported before stays what it is."""
    before = set(sys.modules)
    finder: Any = _Finder(lean)
    sys.meta_path.insert(0, finder)
    sys.modules.update({name: None for name in lean.absent if name not in before})  # type: ignore[misc] # Python's way to say that a module cannot be imported
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in [*sys.modules.items()]:
            if name not in before and (module is None or isinstance(module, _Inert)):
                del sys.modules[name]
                _detach(name)


def _detach(name: str) -> None:
    """Take a module away from its package too, so that `import` finds the real one."""
    package, _, own_name = name.rpartition(".")
    vars(sys.modules.get(package, ModuleType(""))).pop(own_name, None)
