"""Whether a store can take what a run will make."""

from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.models.checkpoint import find_missing_bytes
from stages.run.build import Build
from stages.run.checks import Chain, Reader, payload_bytes
from stages.run.loading import load_build
from stages.run.room import require_room
from tests.builders import PIPELINE, publish
from tests.mounts import mounted
from tests.project import copy_params

MIB = 2**20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def require(build: Build, *stages: str, **machine: str) -> None:
    nodes = [(build.graph.videos["demo"][stage], "demo") for stage in stages]
    require_room(build.graph, build.machine.model_dump() | machine, build.store, nodes, Reader(), fetched={})


def size_of(build: Build, stage: str) -> int:
    chain = Chain(build.graph.videos["demo"], build.graph.checkpoints["demo"], build.machine.model_dump())
    return payload_bytes(chain, build.pipeline, build.graph.videos["demo"][stage])


@pytest.mark.parametrize(
    ("stage", "overrides", "size_bytes"),
    [
        ("encode", {}, 2 * (1000 * (64 + 1) + 256 * (16 + 1)) * 4),
        ("encode", {"encode.dtype": "bfloat16"}, 2 * (1000 * (64 + 1) + 256 * (16 + 1)) * 2),
        ("denoise", {}, 32 * 3 * 6 * 6 * 4),
        ("denoise", {"denoise.num_frames": "49", "denoise.dtype": "bfloat16"}, 32 * 13 * 6 * 6 * 2),
        ("decode", {}, 9 * 96 * 96 * 3 * 2),
        ("decode", {"decode.decoder": "diffusers", "denoise.height": "720"}, 9 * 720 * 96 * 3 * 2),
        ("export", {}, 0),
    ],
)
def test_the_size_of_a_payload_is_known_before_it_is_made(
    root: Path, stage: str, overrides: dict[str, str], size_bytes: int
):
    assert size_of(load_build(root, overrides), stage) == size_bytes


def test_of_latents_from_a_file_no_size_is_known(root: Path):
    (root / "latents").touch()
    build = load_build(root, {"denoise.from_file": "latents"})
    assert [size_of(build, stage) for stage in ("denoise", "decode")] == [0, 0]


def test_a_store_with_room_takes_what_is_asked_for(root: Path):
    build = load_build(root, {})
    require(build, "encode", "denoise", "decode", "export")
    assert {path.name for path in build.store.root.iterdir()} >= {"encode", "denoise", "decode", "export"}


def test_a_store_without_room_is_an_error_before_anything_is_made(root: Path):
    with mounted(root / "artifacts", "size=1m"):
        build = load_build(root, {"denoise.num_frames": "49"})
        require(build, "denoise")
        with pytest.raises(StoreError) as refused:
            require(build, "denoise", "decode")
    assert str(refused.value).startswith(f"{root}/artifacts: has room for ")
    assert "this run takes at least 2.64 MiB (1 x denoise: 0.06 MiB, 1 x decode: 2.58 MiB). " in str(refused.value)


def test_of_what_stays_on_a_remote_store_and_its_hosts_a_fleet_brings_videos_alone(root: Path):
    with mounted(root / "artifacts", "size=1m"):
        build = load_build(root, {"denoise.num_frames": "49"})
        require(build, "denoise", "decode", "export", runner="ray", remote="s3://bucket")
        for more in ({"remote": ""}, {"remote": "s3://bucket", "remote_fetch": "all"}):
            with pytest.raises(StoreError, match="has room for "):
                require(build, "denoise", "decode", "export", runner="ray", **more)


def test_what_is_replaced_gives_its_room_back(root: Path):
    with mounted(root / "artifacts", "size=4m"):
        build = load_build(root, {"denoise.num_frames": "49"})  # 2.58 MiB of frames
        other = load_build(root, {"denoise.num_frames": "25"})
        publish(build.store, build.graph.videos["demo"]["encode"])
        publish(build.store, build.graph.videos["demo"]["denoise"])
        publish(build.store, build.graph.videos["demo"]["decode"], bytes(2 * MIB))
        with pytest.raises(StoreError, match="has room for "):
            require(build, "decode")  # both are there at a time
        require(other, "decode")


def test_a_checkpoint_of_a_folder_has_nothing_to_download(root: Path):
    build = load_build(root, {})
    components = tuple(each for stage in PIPELINE for each in stage.components)
    assert find_missing_bytes(build.graph.checkpoints["demo"], components) == {}


def test_by_a_check_of_the_build_a_fault_of_the_store_stops_all(root: Path):
    build = load_build(root, {})
    (root / "artifacts/decode").touch()
    nodes = build.graph.videos["demo"]
    with pytest.raises(StoreError, match=r"/artifacts/decode: is no folder\."):
        build.check([node.title for node in nodes.values()], build.demand())
    assert build.check([nodes["encode"].title], build.demand())[0] == {}


def test_where_only_a_link_is_missing_its_folder_is_tried(root: Path):
    build = load_build(root, {})
    (root / "artifacts/videos").touch()
    with pytest.raises(StoreError, match=r"/artifacts/videos: is no folder\."):
        build.check(["demo"], build.demand())
    publish(build.store, encode := build.graph.videos["demo"]["encode"], code=build.code["stages.encode"])
    assert build.check([encode.title], build.demand()) == ({}, [encode.title])
