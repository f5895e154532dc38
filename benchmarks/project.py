"""A project of its own for a measurement: the parameters of this one with other videos, built by the real `doit`."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

PROJECT = Path(__file__).parent.parent
Tables: TypeAlias = Mapping[str, Mapping[str, Any]]  # a video's file: values by table and name


def demo_tables() -> Tables:
    """What params/videos/demo.toml says."""
    return tomllib.loads((PROJECT / "params/videos/demo.toml").read_text(encoding="utf-8"))


def write_project(folder: Path, videos: Mapping[str, Tables], *, checkpoint: str = "builtin:shapes") -> None:
    """Write a project with these videos over what was there; its artifacts stay."""
    shutil.rmtree(folder / "params", ignore_errors=True)
    shutil.copytree(PROJECT / "params", folder / "params", dirs_exist_ok=True)
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder / name)
    for path in (folder / "params/videos").glob("*.toml"):
        path.unlink()
    machine = tomllib.loads((folder / "params/machine.toml").read_text(encoding="utf-8"))
    settings = to_toml({"": {**machine, "artifacts": "artifacts"}}).removeprefix("[]\n")
    (folder / "params/machine.toml").write_text(settings + "\n", encoding="utf-8")  # not into a store of somebody's
    (folder / "params/model.toml").write_text(f'checkpoint = {json.dumps(checkpoint)}\nrevision = ""\n')
    for name, tables in videos.items():
        (folder / f"params/videos/{name}.toml").write_text(to_toml(tables), encoding="utf-8")


def to_toml(tables: Tables) -> str:
    """Tables of plain values as TOML, whose strings, numbers and booleans are written as JSON's are."""
    return "\n".join(
        line
        for table, values in tables.items()
        for line in (f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items()))
    )


def run_doit(folder: Path, *arguments: str, is_quiet: bool = False) -> None:
    """Build in a project of `write_project`, by this checkout's code; `is_quiet` hides what it prints on stdout.

    Raises:
        CalledProcessError: something could not be made.
    """
    command = [sys.executable, "-m", "doit", *arguments]
    stdout = subprocess.DEVNULL if is_quiet else None
    subprocess.run(command, cwd=folder, env=environment(), check=True, stdout=stdout)  # noqa: S603 (no shell)


def environment() -> dict[str, str]:
    """The variables of a process that runs this checkout's code, compiled before as other tools are by pip."""
    variables = os.environ | {"PYTHONPATH": str(PROJECT)}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return variables
