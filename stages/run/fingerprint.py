"""Fingerprint of the code that makes a stage's result, without comments, docstrings and formatting.

It covers the modules of this project that the stage imports, found in the source; nothing is imported to find them.
Source of the choice: docs/decisions/0004-code-fingerprint.md.
"""

import ast
import sys
from importlib.util import resolve_name
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, cast

from stages.keys import Digest, JsonValue, canonical_json, digest_bytes
from stages.store.stat_cache import StatCache

_PACKAGE = "stages"
_ROOT = Path(__file__).parent.parent.parent
# These carry bytes from one place to another, or refuse them, and decide nothing else: a change costs no denoise.
_CARRIERS = frozenset(
    {
        "stages.errors",
        "stages.models.checkpoint",
        "stages.request.arguments",
        "stages.machine.executables",
        "stages.tensors.finite",
        "stages.machine.hosts",
        "stages.run.job",
        "stages.machine.private_folder",
        "stages.run.program",
        "stages.store.artifacts",
        "stages.machine.versions",
        "stages.models.weights",
    }
)
# Others import it as well, but its numbers stand in what this stage makes and in nothing else.
_COUNTS_FOR = MappingProxyType({"stages.machine.flops": "preflight"})
# What a scan holds depends on `_scan_file`, whose changes raise the number, and on Python's `ast.unparse`.
_SCAN = f"code-2-python-{sys.version_info.major}.{sys.version_info.minor}"

_Documented: TypeAlias = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def stage_sources(stage: str, cache: StatCache) -> tuple[Path, ...]:
    """The files of this project that decide the stage's result, in the order of their names."""
    found: dict[str, Path] = {}
    package = _ROOT / _PACKAGE / stage
    open_modules = [_module_name(path) for path in sorted(package.rglob("*.py"))]
    while open_modules:
        module = open_modules.pop()
        path = _module_path(module)
        if module in found or path is None or module in _CARRIERS or _COUNTS_FOR.get(module, stage) != stage:
            continue
        found[module] = path
        open_modules += _scan(path, cache)["imports"]
    return tuple(found[module] for module in sorted(found))


def fingerprint(stage: str, cache: StatCache) -> Digest:
    """XXH3-128 over names and normalised sources of `stage_sources`."""
    sources = {_module_name(path): _scan(path, cache)["source"] for path in stage_sources(stage, cache)}
    return digest_bytes(canonical_json(sources))


def normalise(source: str) -> str:
    """A module's source from its syntax tree, without docstrings; equal for code that differs in looks only."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _scan(path: Path, cache: StatCache) -> dict[str, list[str]]:
    return cast(dict[str, list[str]], cache.get(_SCAN, path, _scan_file))


def _scan_file(path: Path) -> dict[str, JsonValue]:
    source = path.read_text(encoding="utf-8")
    package = ".".join(path.relative_to(_ROOT).parent.parts)
    imports: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            # `from package import name`: the name is a module or something that a module defines
            imports |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    inside = {name for name in imports if name.split(".")[0] == _PACKAGE}
    inside |= {_PACKAGE}  # Python runs a package before its modules
    return {"imports": list[JsonValue](sorted(inside)), "source": digest_bytes(normalise(source).encode())}


def _module_path(module: str) -> Path | None:
    base = _ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _module_name(path: Path) -> str:
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
