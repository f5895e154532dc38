"""What the dtype alone changes, beside what is compared."""

import json
from pathlib import Path

import pytest

from stages.diff.floor import find_floor
from stages.diff.side import find_side
from tests.diff.made_videos import Videos, build_videos, changed, noise

pytestmark = pytest.mark.processes
BFLOAT16 = {"encode_dtype": "bfloat16", "denoise_dtype": "bfloat16", "decode_dtype": "bfloat16"}
MAKE = (
    "doit from demo encode.dtype=bfloat16 denoise.dtype=bfloat16 decode.dtype=bfloat16 --as demo-bfloat16 && doit "
    "demo-bfloat16"
)


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Videos:
    videos = build_videos(tmp_path / "project")
    monkeypatch.chdir(videos.root)
    return videos


def test_a_video_that_the_store_has_in_both_dtypes_has_a_floor(videos: Videos):
    videos.make(changed(noise(), first=0, by=0.0625), latents=0.25, **BFLOAT16)
    videos.make(noise())
    floor = find_floor(find_side("demo", videos.project), videos.project)
    decode, denoise = floor.of_stage("decode"), floor.of_stage("denoise")
    assert decode is not None
    assert decode.frames is not None
    assert decode.frames.max_abs == pytest.approx(0.0625, abs=0.01)
    assert denoise is not None
    assert not isinstance(denoise.values["latents"], str)
    assert denoise.values["latents"]["max_abs"] == 0.25
    assert (floor.missing, floor.command) == ([], "")
    assert [*floor.describe()] == ["floor: what differs between float32 and bfloat16 in the same video, demo"]


def test_it_is_the_same_from_either_dtype(videos: Videos):
    videos.make(noise())
    videos.make(changed(noise(), first=0, by=0.0625), **BFLOAT16)
    sides = (find_side(name, videos.project) for name in ("demo@before", "demo"))
    one, other = (find_floor(side, videos.project) for side in sides)
    assert one.stages == other.stages


def test_a_video_that_is_not_there_in_the_other_says_what_makes_it(videos: Videos):
    videos.make(noise())
    floor = find_floor(find_side("demo", videos.project), videos.project)
    assert (floor.stages, floor.missing, floor.command) == ([], ["bfloat16"], MAKE)
    assert [*floor.describe()] == ["floor: not all is in the store of demo in bfloat16. For the cost of that video:"]


def test_a_video_that_is_there_in_part_has_a_floor_in_part(videos: Videos):
    nodes = videos.make(noise(), **BFLOAT16)
    videos.make(changed(noise(), first=0, by=0.0625))
    videos.store.remove(nodes["export"].artifact)
    videos.store.remove(nodes["denoise"].artifact)
    floor = find_floor(find_side("demo", videos.project), videos.project)
    assert [each.stage for each in floor.stages] == ["encode", "decode"]
    assert floor.missing == ["bfloat16"]


def test_without_the_video_file_itself_nothing_is_missing(videos: Videos):
    nodes = videos.make(noise(), **BFLOAT16)
    videos.make(noise())
    videos.store.remove(nodes["export"].artifact)
    assert find_floor(find_side("demo", videos.project), videos.project).missing == []


def test_what_is_no_videos_name_is_made_from_its_artifact(videos: Videos):
    node = videos.make(noise())["decode"]
    command = find_floor(find_side(node.title, videos.project), videos.project).command
    assert command.startswith(f"doit from {node.title} encode.dtype=bfloat16")
    assert command.endswith(f"--as {node.key[:8]}-bfloat16 && doit {node.key[:8]}-bfloat16")


def test_it_is_json(videos: Videos):
    videos.make(noise())
    fields = json.loads(json.dumps(find_floor(find_side("demo", videos.project), videos.project).to_json()))
    assert fields == {"stages": [], "missing": ["bfloat16"], "make": MAKE}
