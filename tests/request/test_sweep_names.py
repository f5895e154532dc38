"""Which sweep a name is of, from files alone."""

from pathlib import Path

import pytest

from stages.request.sweep_names import find_sweep
from tests.request.sweeps import write_sweep


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "params/videos").mkdir(parents=True)
    write_sweep(tmp_path, "denoise.seed = [1, 2]\n", name="harbour-2")
    (tmp_path / "params/videos/demo.toml").write_text("[denoise]\nseed = 3\n")
    (tmp_path / "params/videos/torn.toml").write_text("[sweep")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "sweep"),
    [
        ("harbour-2-1", "harbour-2"),
        ("harbour-2-99", "harbour-2"),
        ("harbour-2", None),
        ("demo-1", None),
        ("torn-1", None),
        ("nobody-1", None),
        ("../videos/harbour-2", None),
        ("-1", None),
        ("a\0b-1", None),
    ],
)
def test_a_name_is_of_the_sweep_that_it_begins_with(root: Path, name: str, sweep: str | None):
    assert find_sweep(name, root) == sweep
