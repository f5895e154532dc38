"""Fingerprint of the code that makes a node, without comments, docstrings and formatting.

It covers what a program's `edge` module imports of its own package and of this one, found in the source; nothing is
imported to find it. Source of the choice: docs/decisions/0004-code-fingerprint.md.
"""

import ast
import os
import sys
from collections.abc import Mapping
from functools import partial
from importlib.util import resolve_name
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, cast

from stages.errors import ParamsError
from stages.keys import Digest, JsonValue, canonical_json, digest_bytes
from stages.machine.regular_files import read_regular
from stages.store.stat_cache import StatCache

_PACKAGE, _PACKAGE_FILE = "stages", "__init__.py"
_ROOT = Path(__file__).parent.parent.parent
_EDGE = "edge"  # the module of a program that does the work; from it all others are found
# These carry bytes from one place to another, or refuse them, and decide nothing else: a change costs no denoise.
# Packages stand for all their modules.
_CARRIERS = (
    "stages.errors",
    "stages.pipeline",
    "stages.remote",
    "stages.request",
    "stages.run",
    "stages.store",
    "stages.models.checkpoint",
    "stages.models.component_files",
    "stages.models.component_source",
    "stages.models.hub",
    "stages.models.hub_cache",
    "stages.models.hub_client",
    "stages.models.hub_download",
    "stages.models.hub_listing",
    "stages.models.hub_refusals",
    "stages.models.hub_transfer",
    "stages.models.missing_weights",
    "stages.models.outcomes",
    "stages.models.places",
    "stages.models.reference",
    "stages.models.remote_headers",
    "stages.models.weight_names",
    "stages.models.weights",
    "stages.models.wording",
    "stages.machine.executables",
    "stages.machine.host_discovery",
    "stages.machine.host_protocol",
    "stages.machine.json_files",
    "stages.machine.private_folder",
    "stages.machine.regular_files",
    "stages.machine.versions",
    "stages.tensors.finite",
)
_CARRIER_PREFIXES = tuple(f"{carrier}." for carrier in _CARRIERS)
# Others import it as well, but its numbers stand in what this program makes and in nothing else.
_COUNTS_FOR = MappingProxyType({"stages.machine.flops": "stages.preflight"})
# What a scan holds depends on `_scan_file`, whose changes raise the number, and on Python's `ast.unparse`.
_SCAN = f"code-3-python-{sys.version_info.major}.{sys.version_info.minor}"

_Documented: TypeAlias = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Fingerprinter:
    """Finds the code of programs, and looks at each file once, however many programs share it."""

    def __init__(self, cache: StatCache) -> None:
        """`cache` remembers what was found in a file."""
        self._cache = cache
        self._paths: dict[str, Path | None] = {}
        self._scans: dict[str, Mapping[str, list[str]]] = {}
        self._sources: dict[str, Mapping[str, Path]] = {}

    def find_sources(self, package: str) -> Mapping[str, Path]:
        """The modules that decide what a program makes, and their files, in the order of their names.

        Args:
            package: of the program, such as "stages.decode".
        Raises:
            ParamsError: the package has no edge, or a file is no Python.
        """
        if package not in self._sources:
            found: dict[str, Path] = {}
            if self._path(f"{package}.{_EDGE}") is None:
                raise ParamsError(f"{package}: has no module {package}.{_EDGE}, which does the stage's work. Add it.")
            inside = {_PACKAGE, package.split(".", maxsplit=1)[0]}
            open_modules = [f"{package}.{_EDGE}"]
            while open_modules:
                module = open_modules.pop()
                if module in found or _is_carrier(module) or _COUNTS_FOR.get(module, package) != package:
                    continue
                path = self._path(module)
                if path is not None:
                    found[module] = path
                    imports = {name for name in self._scan(module, path)["imports"] if name.split(".")[0] in inside}
                    open_modules += imports | _parents(module)
            self._sources[package] = {module: found[module] for module in sorted(found)}
        return self._sources[package]

    def fingerprint(self, package: str) -> Digest:
        """XXH3-128 over names and normalised sources of `find_sources`."""
        sources = self.find_sources(package)
        return digest_bytes(canonical_json({name: self._scan(name, path)["source"] for name, path in sources.items()}))

    def digests(self, package: str) -> Mapping[str, Digest]:
        """XXH3-128 of the normalised source of each module of `find_sources`: which of them a change was in."""
        return {
            name: Digest(str(self._scan(name, path)["source"])) for name, path in self.find_sources(package).items()
        }

    def _path(self, module: str) -> Path | None:
        if module not in self._paths:
            package = module.rpartition(".")[0]
            within = self._path(package) if package else None
            # most names are of what a module defines; below one that is no package there are no modules
            is_defined_there = within is not None and within.name != _PACKAGE_FILE
            self._paths[module] = None if is_defined_there else _module_path(module)
        return self._paths[module]

    def _scan(self, module: str, path: Path) -> Mapping[str, list[str]]:
        if module not in self._scans:
            package = module if path.name == _PACKAGE_FILE else module.rpartition(".")[0]
            scan = self._cache.get(_SCAN, path, partial(_scan_file, package))
            self._scans[module] = cast(dict[str, list[str]], scan)
        return self._scans[module]


def fingerprint(package: str, cache: StatCache) -> Digest:
    """The fingerprint of one program's code, as it is now."""
    return Fingerprinter(cache).fingerprint(package)


def normalise(tree: ast.Module) -> str:
    """A module's source from its syntax tree, without docstrings; equal for code that differs in looks only.

    The docstrings are taken out of the tree itself.
    """
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _is_carrier(module: str) -> bool:
    return f"{module}.".startswith(_CARRIER_PREFIXES)


def _parents(module: str) -> set[str]:
    """The packages that Python runs before a module."""
    parts = module.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts))}


def _scan_file(package: str, path: Path) -> dict[str, JsonValue]:
    """What a module imports, by whole names, and the digest of its source. `package` is the one that it is in.

    Raises:
        ParamsError: the file is no Python.
    """
    imports: set[str] = set()
    try:
        tree = ast.parse(read_regular(path).decode())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imports |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                module = resolve_name("." * node.level + (node.module or ""), package)
                # `from package import name`: the name is a module or something that a module defines
                imports |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        normalised = normalise(tree)
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise ParamsError(f"{path}{where}: {error.msg}. Mend the file and run it again.") from error
    except (ValueError, ImportError, RecursionError) as error:  # not UTF-8, a NUL byte, an import from above the top
        raise ParamsError(f"{path}: {error}. Mend the file and run it again.") from error
    return {"imports": list[JsonValue](sorted(imports)), "source": digest_bytes(normalised.encode())}


def _module_path(module: str) -> Path | None:
    """A module's file; None for a name that something in a module has."""
    own = module.replace(".", os.sep)
    for root in [str(_ROOT)] if module.partition(".")[0] == _PACKAGE else sys.path:
        base = os.path.join(root, own)  # noqa: PTH118 (of hundreds of names before each run, a tenth of the time)
        for path in (f"{base}.py", os.path.join(base, _PACKAGE_FILE)):  # noqa: PTH118
            if os.path.isfile(path):  # noqa: PTH113
                return Path(path)
    return None
