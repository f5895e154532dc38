"""The example of docs/library.md, as it stands there, in a process of its own: what it makes is what doit makes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stages.tensors.files import read_tensors
from tests.project import PROJECT, environment

PAGE = PROJECT / "docs/library.md"
MAX_LINES = 12
# Appended to the example: keeps what it has made, and which modules it has loaded.
KEEP = """
import json, sys
from pathlib import Path
from stages.tensors.files import write_tensors
for name, tensors in {"embeddings": embeddings, "latents": {"latents": latents}, "frames": {"frames": frames}}.items():
    write_tensors(Path(sys.argv[1], name), tensors)
print(json.dumps(sorted(sys.modules)))
"""


def read_example() -> str:
    """The page's block of code."""
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the example makes, by name, and the folder in which it has run."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "elsewhere").mkdir()
    command = [sys.executable, "-c", read_example() + KEEP, str(folder)]
    result = subprocess.run(
        command, cwd=folder / "elsewhere", env=environment(), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (folder / "modules").write_text(result.stdout.splitlines()[-1])
    return folder


def test_the_example_has_at_most_twelve_lines():
    assert 0 < sum(bool(line.strip()) for line in read_example().splitlines()) <= MAX_LINES


@pytest.mark.parametrize(("name", "stage"), [("embeddings", "encode"), ("latents", "denoise"), ("frames", "decode")])
def test_it_makes_what_doit_makes_of_the_default_video(built: Path, made: Path, name: str, stage: str):
    (artifact,) = (built / "artifacts" / stage).glob(f"*/{name}.safetensors")
    ours, expected = read_tensors(made / name), read_tensors(artifact)
    assert {name: (array.shape, array.dtype) for name, array in ours.items()} == {
        name: (array.shape, array.dtype) for name, array in expected.items()
    }
    assert {name: array.tobytes() for name, array in ours.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_it_needs_neither_doit_nor_a_store_and_writes_nothing(made: Path):
    modules = (made / "modules").read_text()
    assert '"stages.denoise.denoiser"' in modules
    for name in ('"doit"', '"stages.store.artifacts"', '"stages.run.job"'):
        assert name not in modules
    assert not [*(made / "elsewhere").iterdir()]
