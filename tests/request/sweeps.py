"""Projects with a sweep, for tests of what becomes of one."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.pipeline.stages import Pipeline
from stages.pipeline.toml_writer import write_toml
from stages.request.params import Params, load_params
from stages.store.sweep_numbers import SweepNumbers
from tests.project import DEMO


def write_sweep(root: Path, table: str, *, name: str = "harbour", text: str = DEMO) -> Path:
    """A video's file with a table [sweep] at its end; `root` has params/videos/."""
    path = root / f"params/videos/{name}.toml"
    path.write_text(f"{text}\n[sweep]\n{table}", encoding="utf-8")
    return path


def write_sweep_table(root: Path, sweep: Mapping[str, Any]) -> None:
    """The same of a table that is no text yet."""
    (root / "params/videos/harbour.toml").write_text(write_toml({**tomllib.loads(DEMO), "sweep": sweep}))


def load(root: Path, **overrides: str) -> Params:
    """The parameters; `denoise__seed="7"` overrides one."""
    return load_params(root, {name.replace("__", "."): text for name, text in overrides.items()}, Pipeline())


def remember(root: Path, params: Params) -> None:
    """What a run that makes something does with the numbers of its sweeps."""
    (root / "artifacts").mkdir(exist_ok=True)
    SweepNumbers(root / "artifacts").add(params.new_numbers)
