"""A node is made again elsewhere and compared, by its real program, and nothing is published."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save, save_file

from stages.errors import StageError, StoreError
from stages.keys import Node
from stages.machine.regular_files import digest_file
from stages.pipeline.contracts import FRAMES
from stages.run import measuring
from stages.run.build import Build
from stages.run.loading import load_build
from stages.run.rebuild import Rebuilt, rebuild
from stages.run.worker import Workers
from stages.store.artifacts import Store
from tests.builders import collect, files_below, publish, record
from tests.known_files import know_package
from tests.project import copy_params
from tests.run.gray_videos import write_gray

pytestmark = pytest.mark.processes

LATENTS = np.linspace(-2, 2, 32 * 3 * 4 * 4, dtype=np.float32).reshape(1, 32, 3, 4, 4)
FROM_FILE = {"denoise.from_file": "latents.safetensors"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    know_package(copy_params(tmp_path))
    save_file({"latents": LATENTS}, tmp_path / "latents.safetensors")
    return tmp_path


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """The processes of all tests that start one."""
    folder = tmp_path_factory.mktemp("runner")
    runner = Workers(folder, folder / "logs")
    yield runner
    runner.close()


@pytest.fixture
def build(root: Path, runner: Workers) -> Build:
    return replace(load_build(root, FROM_FILE), runner=runner)


def ignore(_event: object) -> None:
    """What is told of the process."""


def make_again(build: Build, node: Node) -> Rebuilt:
    """Rebuild, and see that the store is as before."""
    before = files_below(build.store.root)
    try:
        return rebuild(build, node, ignore)
    finally:
        assert files_below(build.store.root) == before
        assert list((build.store.root / ".drafts").iterdir()) == []


def publish_latents(build: Build, latents: np.ndarray) -> Node:
    """Put latents in the place of those that the file gives."""
    node = build.graph.videos["demo"]["denoise"]
    publish(build.store, node, save({"latents": latents}), build.code[build.program_of(node).package])
    return node


def test_what_comes_out_equal_is_equal_to_the_bit(build: Build):
    assert make_again(build, publish_latents(build, LATENTS)) == Rebuilt(is_equal=True, is_as_published=True)


def test_other_values_are_measured(build: Build):
    other = LATENTS.copy()
    other[0, 0, 0, 0, 0] += 0.5
    found = make_again(build, publish_latents(build, other))
    assert not found.is_equal
    measured = found.differences["latents"]
    assert not isinstance(measured, str)
    assert (measured["num_unequal"], measured["max_abs"]) == (1, 0.5)
    value_range = float(other.max() - other.min())
    assert measured["psnr_db"] == pytest.approx(10 * np.log10(value_range**2 / (0.25 / LATENTS.size)))


@pytest.mark.parametrize(
    ("published", "stored", "is_equal", "is_as_published"),
    [(0.0, 1.0, False, True), (1.0, 2.0, False, False), (1.0, 0.0, True, False)],
    ids=["as the manifest says", "as neither says", "as it is stored"],
)
def test_a_damaged_file_is_told_from_a_result_that_differs(
    build: Build, published: float, stored: float, *, is_equal: bool, is_as_published: bool
):
    node = publish_latents(build, LATENTS + np.float32(published))
    path = build.store.payload(node.artifact)
    before = digest_file(path)
    path.write_bytes(save({"latents": LATENTS + np.float32(stored)}))
    damage = f"{path}: is damaged: xxh3 is {digest_file(path)}, the manifest says {before}"
    assert make_again(build, node) == Rebuilt(is_equal, is_as_published, damage)


@pytest.mark.parametrize(
    ("prints", "fault"),
    [
        ("'loading'); print('{}'", "Expecting value: line 1 column 1 (char 0)"),
        ("'[' * 100_000", "it is nested too deeply"),
        ("[]", "it is not a table of tables of numbers, or of texts"),
        ('\'{"frames": {"psnr_db": "high"}}\'', "it is not a table of tables of numbers, or of texts"),
    ],
)
def test_a_projects_own_measurement_that_prints_something_else_is_said_to(
    build: Build, monkeypatch: pytest.MonkeyPatch, prints: str, fault: str
):
    monkeypatch.setattr(measuring, "_OF_TENSORS", "own_measurement")
    (build.root / "own_measurement.py").write_text(f"print({prints})\n")
    found = make_again(build, publish_latents(build, LATENTS + 1))
    assert found == Rebuilt(
        is_equal=False,
        is_as_published=False,
        fault=f"own_measurement has to print one JSON object and nothing else: {fault}",
    )


def test_a_stored_file_that_cannot_be_read_is_said_to_be(build: Build):
    node = build.graph.videos["demo"]["denoise"]
    publish(build.store, node, b"no tensors", build.code["stages.from_file"])
    found = make_again(build, node)
    assert (found.is_equal, found.differences) == (False, {})
    assert found.fault.startswith("no safetensors file that can be read (")


def publish_frames(build: Build) -> Node:
    """The nodes before an export, with frames of 5x32x32, and the export's node."""
    nodes = build.graph.videos["demo"]
    frames = np.zeros((1, 5, 32, 32, 3), ml_dtypes.bfloat16)
    payloads = {"denoise": b"latents", "decode": save({"frames": frames})}
    for stage, payload in payloads.items():
        publish(build.store, nodes[stage], payload)
    assert FRAMES.payload == build.store.payload(nodes["decode"].artifact).name
    return nodes["export"]


def test_a_video_is_measured_by_its_pictures(build: Build, tmp_path: Path):
    node = publish_frames(build)
    video = write_gray(tmp_path / "other.mp4", 0.5, num_frames=5)
    publish(build.store, node, video.read_bytes())
    found = make_again(build, node).differences["frames"]
    assert not isinstance(found, str)
    assert found["max_abs"] == pytest.approx(64, abs=2)  # 0.5 of [-1, 1] in levels of 255
    assert found["psnr_db"] == pytest.approx(20 * np.log10(255 / found["max_abs"]), abs=0.1)


def test_without_its_artifact_there_is_nothing_to_compare(root: Path):
    build = load_build(root, FROM_FILE)
    node = build.graph.videos["demo"]["denoise"]
    with pytest.raises(StageError) as error:
        rebuild(build, node, ignore)
    assert str(error.value) == (
        f"{node.title}: is not in the store: there is nothing to compare with. `doit` makes it."
    )


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda build, node: build.store.remove(node.artifact), "is not in the store"),
        (lambda build, node: publish(build.store, node, b"others"), "has other bytes now"),
    ],
)
def test_what_it_was_made_from_must_be_there(root: Path, change: Callable[[Build, Node], object], state: str):
    build = load_build(root, FROM_FILE)
    node = publish_frames(build)
    publish(build.store, node)
    decode = build.graph.videos["demo"]["decode"]
    change(build, decode)
    with pytest.raises(StageError) as error:
        rebuild(build, node, ignore)
    assert str(error.value) == f"{node.title}: was made from {decode.title}, which {state}. Run `doit` first."


def lose(store: Store, node: Node) -> None:
    store.payload(node.artifact).unlink()


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (collect, "was deleted by `doit gc`"),
        (record, "is known from s3://bucket, and was never here"),
        (lose, "has lost its file video.mp4"),
    ],
    ids=["collected", "recorded", "lost"],
)
def test_without_its_payload_nothing_is_made_that_cannot_be_compared(
    root: Path, end: Callable[[Store, Node], None], why: str
):
    build = load_build(root, FROM_FILE)
    node = publish_frames(build)
    publish(build.store, node)
    end(build.store, node)
    with pytest.raises(StageError) as error:
        rebuild(build, node, ignore)
    assert str(error.value) == (
        f"{node.title}: {why}: there is nothing to compare with. `doit {node.title}` makes it again."
    )
    assert not (build.store.root / "logs").exists()  # no process was started


@pytest.mark.parametrize(
    ("end", "why"),
    [(collect, "was deleted by `doit gc`"), (lose, "has lost its file frames.safetensors")],
    ids=["collected", "lost"],
)
def test_without_the_payload_of_an_input_nothing_is_made(root: Path, end: Callable[[Store, Node], None], why: str):
    build = load_build(root, FROM_FILE)
    node = publish_frames(build)
    publish(build.store, node)
    decode = build.graph.videos["demo"]["decode"]
    end(build.store, decode)
    with pytest.raises(StageError) as error:
        rebuild(build, node, ignore)
    assert str(error.value) == (
        f"{node.title}: was made from {decode.title}, which {why}. Run `doit {decode.title}` first."
    )
    assert not (build.store.root / "logs").exists()


def test_a_damaged_input_is_reported_and_made_again_by_the_next_run(build: Build):
    node = publish_frames(build)
    publish(build.store, node)
    decode = build.graph.videos["demo"]["decode"]
    path = build.store.payload(decode.artifact)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    changed = digest_file(path)
    with pytest.raises(StageError, match=f"xxh3 is {changed}, the manifest says "):
        rebuild(build, node, ignore)
    assert build.verdict(decode).state == "forgotten"


def test_a_damaged_manifest_is_reported(root: Path):
    build = load_build(root, FROM_FILE)
    node = publish_latents(build, LATENTS)
    (build.store.folder(node.artifact) / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest.json: not a manifest"):
        rebuild(build, node, ignore)
