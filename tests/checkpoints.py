"""Layouts of checkpoints that people have: shards, variants, other names, a hub's cache."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file


def edit_json(path: Path, **changes: object) -> Path:
    """Change values of a JSON file; None removes one."""
    values = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {name: value for name, value in values.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")
    return path


def split(file: Path, count: int = 3, *, variant: str = "") -> list[Path]:
    """Cut a file of weights into shards with an index, named as diffusers does; the file stays."""
    tensors, stem = load_file(file), file.name.removesuffix(".safetensors")
    in_name = f".{variant}" if variant else ""
    shards, weight_map = [], {}
    for place in range(count):
        shard = file.with_name(f"{stem}{in_name}-{place + 1:05d}-of-{count:05d}.safetensors")
        part = {name: tensors[name] for name in sorted(tensors)[place::count]}
        save_file(part, shard, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, shard.name)
        shards.append(shard)
    index = file.with_name(f"{stem}.safetensors.index{in_name}.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return shards


def zero(file: Path) -> None:
    """Make all tensors of a file zeros."""
    save_file({name: tensor * 0 for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


def rename_tensors(file: Path, rename: Callable[[str], str]) -> None:
    """Give the tensors of a file other names."""
    save_file({rename(name): tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


def tensor_names(file: Path) -> list[str]:
    """Names of the tensors in a file."""
    with safe_open(file, framework="numpy") as opened:
        return list(opened.keys())


def lay_into_hub_cache(folder: Path, cache: Path, repo: str, commit: str) -> Path:
    """Put a folder's files into a hub's cache, as the hub's library has always done it; the repository's folder there.

    The names of blobs are those that git gives to small files.
    """
    base = cache / f"models--{repo.replace('/', '--')}"
    for name in ("refs", "blobs"):
        (base / name).mkdir(parents=True, exist_ok=True)
    (base / "refs" / "main").write_text(commit)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        blob = base / "blobs" / hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        shutil.copyfile(path, blob)
        link = base / "snapshots" / commit / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return base
