"""What weights on the hub will need is known from a few KB of them."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.errors import CheckpointError
from stages.models import hub_download
from stages.models.checkpoint import Checkpoint
from stages.models.hub_cache import find_paths
from stages.models.places import resolve
from stages.models.remote_headers import count_listed_bytes, read_remote_headers
from stages.models.weight_headers import WeightHeaders
from stages.pipeline.decode import VAE
from tests.checkpoints import split
from tests.hub_repo import Repo
from tests.hub_server import HubServer
from tests.models.builders import NEWER
from tests.project import SHAPES

STEM = "diffusion_pytorch_model"
WEIGHTS = f"vae/{STEM}.safetensors"
SIZE = 4 * (1000 * 1000 + 7)  # of the tensors below, in bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint with a VAE of two tensors, much larger than their header."""
    (tmp_path / "model/vae").mkdir(parents=True)
    (tmp_path / "model/vae/config.json").write_text("{}")
    save_file({"a": np.zeros((1000, 1000), np.float32), "b": np.zeros(7, np.float32)}, tmp_path / "model" / WEIGHTS)
    return tmp_path / "model"


@pytest.fixture
def repo(server: HubServer, folder: Path) -> Repo:
    server.repos["org/model"] = Repo.of_folder(folder, commit=NEWER, answer=NEWER)
    return server.repos["org/model"]


def find() -> Checkpoint:
    return resolve("org/model", NEWER)


def read() -> WeightHeaders:
    headers = read_remote_headers(find(), VAE)
    assert headers is not None
    return headers


def test_bytes_are_those_of_the_list(repo: Repo):
    assert count_listed_bytes(find(), VAE) == len(repo.files[WEIGHTS])


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_shapes_are_known_and_nothing_is_kept(repo: Repo, server: HubServer, *, ignores_ranges: bool):
    repo.ignores_ranges = ignores_ranges
    headers = read()
    assert (headers.shapes, headers.faults) == ({"a": (1000, 1000), "b": (7,)}, ())
    assert headers.count_bytes("float32") == SIZE
    assert headers.files.folder == find().folder / "vae"
    assert find_paths("org/model", NEWER, None) == {}
    assert ignores_ranges or server.sent_bytes[WEIGHTS] <= 2**18


def test_of_shards_each_header_is_read(folder: Path, server: HubServer):
    split(folder / WEIGHTS, 2)
    (folder / WEIGHTS).unlink()
    server.repos["org/model"] = Repo.of_folder(folder, commit=NEWER)
    assert read().count_bytes("float32") == SIZE
    assert count_listed_bytes(find(), VAE) > SIZE


@pytest.mark.usefixtures("repo")
def test_a_header_that_is_longer_than_most_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub_download, "_USUAL_HEADER_BYTES", 10)
    assert read().count_bytes("float32") == SIZE


@pytest.mark.parametrize("start", [b"", b"\x00" * 7, b"\xff" * 40, b"\x02\x00\x00\x00\x00\x00\x00\x00[]"])
def test_a_file_that_is_no_safetensors_file_is_named_by_its_place(folder: Path, server: HubServer, start: bytes):
    (folder / WEIGHTS).write_bytes(start)
    server.repos["org/model"] = Repo.of_folder(folder, commit=NEWER)
    (fault,) = read().faults
    assert fault.startswith(f"{find().folder}/{WEIGHTS}: not a whole safetensors file (")


def test_a_hub_that_refuses_is_reported(repo: Repo):
    count_listed_bytes(find(), VAE)
    repo.is_gated = True
    with pytest.raises(CheckpointError, match="the repository is gated"):
        read()


def test_a_folder_has_nothing_on_the_hub():
    assert count_listed_bytes(Checkpoint(SHAPES), VAE) == 0
    assert read_remote_headers(Checkpoint(SHAPES), VAE) is None
