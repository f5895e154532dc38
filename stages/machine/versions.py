"""Versions of installed distributions, found without importing them."""

import importlib.metadata
from collections.abc import Iterable


def versions_of(distributions: Iterable[str]) -> dict[str, str]:
    """Version of each distribution by name; "" for those that are not installed."""
    return {name: _version_of(name) for name in distributions}


def _version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
