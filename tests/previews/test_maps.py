"""The maps of VAEs in a store."""

from pathlib import Path

import numpy as np
import pytest

from stages.geometry import LATENT_CHANNELS
from stages.keys import Node
from stages.previews import maps
from stages.previews.maps import find_map
from stages.store.artifacts import Store
from stages.store.previews import map_file
from stages.tensors.files import write_tensors
from tests.builders import collect, publish

VAE, OTHER = "a" * 32, "b" * 32


def decode(root: Path, number: int, *, vae: str = VAE, height: int = 14) -> tuple[Node, Node]:
    """Publish latents and the frames of them: a denoise and a decode."""
    random, store = np.random.default_rng(number), Store(root)
    latents = random.normal(size=(1, LATENT_CHANNELS, 2, height, 15)).astype(np.float32)
    frames = random.uniform(-1, 1, size=(1, 5, 16 * height, 240, 3)).astype(np.float32)
    denoise = Node("denoise", {"seed": number}, {}, {})
    made = Node("decode", {}, {"vae": vae}, {"denoise": denoise.key})
    for node, tensors in ((denoise, {"latents": latents}), (made, {"frames": frames})):
        file = root.with_name("tensors")
        write_tensors(file, tensors)
        publish(store, node, file.read_bytes())
    return denoise, made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def test_before_the_first_decode_there_is_no_map(root: Path):
    assert find_map(root, VAE) is None


def test_of_a_few_cells_no_map_is_made(root: Path):
    decode(root, 1, height=6)
    assert find_map(root, VAE) is None
    decode(root, 2, height=8)
    assert find_map(root, VAE) is not None


def test_a_map_is_of_the_videos_of_its_vae(root: Path):
    decode(root, 1)
    decode(root, 2)
    decode(root, 3, vae=OTHER)
    found = find_map(root, VAE)
    assert found is not None
    assert found.num_clips == 2


def test_a_map_is_kept_and_not_fitted_again(root: Path, monkeypatch: pytest.MonkeyPatch):
    decode(root, 1)
    first = find_map(root, VAE)
    monkeypatch.setattr(maps, "_fit", None)
    second = find_map(root, VAE)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.weights, second.weights)


def test_a_map_is_fitted_again_when_there_are_twice_as_many_videos(root: Path):
    numbers = []
    for number in range(4):
        decode(root, number)
        found = find_map(root, VAE)
        assert found is not None
        numbers.append(found.num_clips)
    assert numbers == [1, 2, 2, 4]


def test_a_map_of_enough_videos_is_final(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maps, "MAX_CLIPS", 1)
    decode(root, 1)
    find_map(root, VAE)
    monkeypatch.setattr(maps, "_find_clips", None)
    assert find_map(root, VAE) is not None


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_a_damaged_map_is_fitted_anew(root: Path, content: bytes | None):
    decode(root, 1)
    file = map_file(root, VAE)
    file.parent.mkdir(parents=True)
    file.mkdir() if content is None else file.write_bytes(content)
    found = find_map(root, VAE)
    assert found is not None
    assert found.num_clips == 1


def test_a_map_of_another_form_is_fitted_anew(root: Path):
    decode(root, 1)
    file = map_file(root, VAE)
    file.parent.mkdir(parents=True)
    write_tensors(file, {"weights": np.zeros((3, 3), np.float32), "num_clips": np.array([32], np.int32)})
    found = find_map(root, VAE)
    assert found is not None
    assert found.num_clips == 1


def test_videos_whose_frames_are_damaged_or_deleted_are_left_out(root: Path):
    decode(root, 1)
    _, damaged = decode(root, 2)
    _, gone = decode(root, 3)
    Store(root).payload(damaged.artifact).write_bytes(b"no tensors")
    collect(Store(root), gone)
    found = find_map(root, VAE)
    assert found is not None
    assert found.num_clips == 1


def test_a_map_that_cannot_be_kept_is_used_all_the_same(root: Path):
    decode(root, 1)
    (root / "previews").write_text("in the way")
    assert find_map(root, VAE) is not None
