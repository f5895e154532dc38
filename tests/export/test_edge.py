"""The stage's edge: a node's frames and what they were made from become a video file."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stages.errors import ContractError, ParamsError
from stages.export.edge import run
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.run.job import Job
from stages.run.report import Report
from stages.store.artifacts import Store
from stages.tensors.files import write_tensors
from tests.builders import CODE, build_job, publish


def export_job(folder: Path, frames: np.ndarray, **parameters: str) -> Job:
    """A job whose frames, [1, f, h, w, 3], and all before them are in the store; h264 at 8 frames per second."""
    store, parent = Store(folder / "artifacts"), Node("encode", {"prompt": "a circle"}, {}, {})
    publish(store, parent)
    for stage in ("denoise", "decode"):
        parent = Node(stage, {}, {}, {parent.stage: parent.key})
        write_tensors(folder / "frames", {"frames": frames})
        publish(store, parent, (folder / "frames").read_bytes())
    node = Node("export", {"fps": 8, "codec": "h264", "crf": 18, **parameters}, {}, {"decode": parent.key})
    return build_job(node, Checkpoint(folder), store.root, CODE, {})


def test_the_video_has_the_frames_and_says_what_it_was_made_from(tmp_path: Path):
    job = export_job(tmp_path, np.zeros((1, 5, 32, 48, 3), np.float32))
    done: list[object] = []
    run(job, tmp_path, Report(lambda event: done.append(event.get("done"))))
    with av.open(str(tmp_path / "video.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.width, stream.height, stream.average_rate) == (5, 48, 32, 8)
        record = json.loads(container.metadata["comment"])
    assert record["prompt"] == "a circle"
    assert set(record["stages"]) == {"encode", "denoise", "decode", "export"}
    assert {stage["code"] for stage in record["stages"].values()} == {CODE}
    assert done[-1] == 5


def test_frames_that_are_no_video_are_refused(tmp_path: Path):
    job = export_job(tmp_path, np.zeros((1, 5, 32, 48, 4), np.float32))
    with pytest.raises(ContractError, match="frames"):
        run(job, tmp_path, Report(lambda _: None))


def test_the_rate_of_the_file_is_the_fraction_that_was_asked_for(tmp_path: Path):
    run(
        export_job(tmp_path, np.zeros((1, 5, 32, 48, 3), np.float32), fps="24000/1001"),
        tmp_path,
        Report(lambda _: None),
    )
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(24000, 1001)


def test_a_crop_leaves_the_middle_of_the_frames(tmp_path: Path):
    frames = np.full((1, 5, 64, 96, 3), -1, np.float32)
    frames[:, :, 7:-7, 21:-21] = 1  # 50 rows, 54 columns
    run(export_job(tmp_path, frames, crop="54x50"), tmp_path, Report(lambda _: None))
    with av.open(str(tmp_path / "video.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(50, 54, 3)] * 5
    assert min(int(picture.min()) for picture in pictures) > 250  # white to the edges


def test_a_crop_of_frames_that_are_smaller_is_refused(tmp_path: Path):
    job = export_job(tmp_path, np.zeros((1, 5, 32, 48, 3), np.float32), crop="1920x1080")
    with pytest.raises(ParamsError) as caught:
        run(job, tmp_path, Report(lambda _: None))
    assert str(caught.value) == (
        'export.crop = "1920x1080": must be no larger than the frames, which are 48x32. Make it smaller, or leave it '
        "out."
    )


@pytest.mark.parametrize(("codec", "count"), [("h264", 0), ("hevc", 1)])
def test_what_players_refuse_is_a_warning(tmp_path: Path, codec: str, count: int):
    events: list[object] = []
    job = export_job(tmp_path, np.zeros((1, 5, 32, 48, 3), np.float32), codec=codec)
    run(job, tmp_path, Report(lambda event: events.append(event["event"])))
    assert events.count("warning") == count
