"""What a person names, as one of two things that are compared."""

import shutil
from pathlib import Path

import pytest

from stages.diff.side import find_side
from stages.errors import StoreError
from stages.machine.regular_files import digest_file
from tests.builders import collect
from tests.diff.made_videos import Videos, build_videos, gray
from tests.provenance.videos import line_of, write_mp4


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Videos:
    videos = build_videos(tmp_path / "project")
    monkeypatch.chdir(videos.root)
    return videos


def test_a_video_has_the_files_of_all_its_stages(videos: Videos):
    nodes = videos.make(gray())
    side = find_side("demo", videos.project)
    assert [payload.path for payload in side.payloads.values()] == [
        videos.store.payload(node.artifact) for node in nodes.values()
    ]


def test_before_is_what_the_link_led_to(videos: Videos):
    first = videos.make(gray())
    videos.make(gray(), denoise_seed="7")
    before = find_side("demo@before", videos.project)
    assert [made.key for made in before.record.made] == [node.key for node in first.values()]
    assert before.name == "demo@before"


def test_a_file_called_as_before_is_a_file(videos: Videos):
    videos.make(gray())
    write_mp4(videos.root / "demo@before", line_of(videos.root))
    assert find_side("demo@before", videos.project).record.what == "a video"


def test_a_video_of_one_choice_has_no_before(videos: Videos):
    videos.make(gray())
    with pytest.raises(StoreError) as refused:
        find_side("demo@before", videos.project)
    assert str(refused.value) == (
        "demo@before: nothing is known of before: the link of demo has led to nothing else since links are noted. "
        "`doit list --all` names what the store has."
    )


def test_before_of_nobody_is_said_to_be_nobodys(videos: Videos):
    videos.make(gray())
    with pytest.raises(StoreError, match=r"^deom: no such file, artifact or video that has been made\. Did you mean"):
        find_side("deom@before", videos.project)


def test_a_before_that_was_removed_is_named(videos: Videos):
    first = videos.make(gray())["export"]
    videos.make(gray(), denoise_seed="7")
    videos.store.remove(first.artifact)
    with pytest.raises(StoreError) as refused:
        find_side("demo@before", videos.project)
    assert str(refused.value) == f"demo@before: was {first.title}, which has been removed."


def test_an_artifact_has_the_files_up_to_its_stage(videos: Videos):
    node = videos.make(gray())["decode"]
    assert [*find_side(node.title, videos.project).payloads] == ["encode", "denoise", "decode"]


def test_a_video_from_elsewhere_is_its_own_payload(videos: Videos):
    videos.make(gray())
    file = write_mp4(videos.root / "clip.mp4", line_of(videos.root, export_fps="12"))
    side = find_side("clip.mp4", videos.project)
    assert side.payloads["export"].path == Path("clip.mp4")
    assert side.payloads["export"].digest == digest_file(file)
    assert side.payloads["decode"].path is not None


def test_of_a_file_with_other_bytes_nobody_knows_what_it_was_made_from(videos: Videos):
    """Its metadata name an artifact that the store has; its pictures are others."""
    nodes = videos.make(gray())
    file = videos.root / "clip.mp4"
    content = bytearray(videos.store.payload(nodes["export"].artifact).read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    side = find_side("clip.mp4", videos.project)
    assert side.payloads["export"].digest == digest_file(file)
    for stage in ("encode", "denoise", "decode"):
        assert (side.payloads[stage].path, side.payloads[stage].absence) == (
            None,
            "not known to be what this file was made from",
        )


def test_a_copy_of_a_video_is_that_video(videos: Videos):
    nodes = videos.make(gray())
    shutil.copy(videos.store.payload(nodes["export"].artifact), videos.root / "clip.mp4")
    assert find_side("clip.mp4", videos.project).payloads == find_side("demo", videos.project).payloads


def test_a_video_of_another_project_brings_the_files_of_its_store(videos: Videos, tmp_path: Path):
    other = build_videos(tmp_path / "other")
    nodes = other.make(gray())
    side = find_side(str(other.root / "artifacts/videos/demo.mp4"), videos.project)
    assert side.payloads["decode"].path == other.store.payload(nodes["decode"].artifact)


def test_what_is_not_there_says_why(videos: Videos):
    nodes = videos.make(gray())
    collect(videos.store, nodes["decode"])
    shutil.rmtree(videos.store.folder(nodes["denoise"].artifact))
    side = find_side("demo", videos.project)
    assert (side.payloads["decode"].path, side.payloads["decode"].absence) == (None, "deleted by `doit gc`")
    assert side.payloads["denoise"].absence == "not in the store"


def test_what_other_code_has_made_is_not_taken_for_it(videos: Videos):
    nodes = videos.make(gray())
    codes = {"decode": "d" * 32}
    write_mp4(videos.root / "clip.mp4", line_of(videos.root, codes=codes, export_crf="20"))  # type: ignore[arg-type]
    side = find_side("clip.mp4", videos.project)
    assert side.record.made[2].key == nodes["decode"].key
    assert (side.payloads["decode"].path, side.payloads["decode"].absence) == (
        None,
        "what is in the store was made by other code",
    )


def test_a_file_has_no_before(videos: Videos):
    videos.make(gray())
    write_mp4(videos.root / "clip.mp4", line_of(videos.root))
    with pytest.raises(StoreError) as refused:
        find_side("clip.mp4@before", videos.project)
    assert str(refused.value) == (
        "clip.mp4: is no video of this project, and only these have a before. Name what it is to be compared with."
    )
