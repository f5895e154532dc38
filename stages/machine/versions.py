"""Versions of what is installed, without importing it."""

import importlib.metadata
from collections.abc import Iterable


def versions_of(distributions: Iterable[str]) -> dict[str, str]:
    """Version by name; "" for what is not installed."""
    return {name: _version_of(name) for name in distributions}


def _version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
