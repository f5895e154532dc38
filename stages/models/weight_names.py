"""How files of weights are called, by the libraries that write them: the single file and the index, of each variant.

Pure, from names. Which of them is read is decided in component_files.py.
"""

import re
from collections.abc import Collection, Mapping, Sequence

_SHARD = re.compile(r".*-\d+-of-\d+")


def single_name(stem: str, variant: str) -> str:
    """What weights in one file are called. `stem` is what the names begin with; `variant` is "" for none."""
    return f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"


def index_names(stem: str, variant: str) -> tuple[str, ...]:
    """What an index of weights may be called: by diffusers and transformers, by earlier ones, by the hub's library."""
    if not variant:
        return (f"{stem}.safetensors.index.json",)
    return (
        f"{stem}.safetensors.index.{variant}.json",
        f"{stem}.safetensors.{variant}.index.json",
        f"{stem}.{variant}.safetensors.index.json",
    )


def find_variants(names: Collection[str], stem: str = "") -> Mapping[str, Sequence[str]]:
    """The variants of which there are weights, single or with an index, and the names that say so; shards do not.

    Args:
        names: of files.
        stem: what the names begin with; "" for any.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        start, *parts = name.split(".")
        for variant in parts:
            is_named = name in (single_name(start, variant), *index_names(start, variant))
            if is_named and stem in ("", start) and not _SHARD.fullmatch(variant):
                found.setdefault(variant, []).append(name)
                break
    return found
