"""Video files: what is decoded again, and that equal frames give equal bytes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import ml_dtypes
import numpy as np
import pytest

from stages.errors import ContractError, StoreError
from stages.export.video import to_levels, write_video
from stages.geometry import VideoSize
from stages.tensors import TensorReader, TensorWriter

# BT.709, limited range, 8 bits: luma 16 + 219 Y, chroma 128 + 224 P, worked out by hand.
PRIMARIES = {
    "black": ((-1, -1, -1), (16, 128, 128)),
    "white": ((1, 1, 1), (235, 128, 128)),
    "gray": ((0, 0, 0), (126, 128, 128)),
    "red": ((1, -1, -1), (63, 102, 240)),
    "green": ((-1, 1, -1), (173, 42, 26)),
    "blue": ((-1, -1, 1), (32, 240, 118)),
    "yellow": ((1, 1, -1), (219, 16, 138)),
    "cyan": ((-1, 1, 1), (188, 154, 16)),
    "magenta": ((1, -1, 1), (78, 214, 230)),
}


def make_frames(size: VideoSize) -> np.ndarray:
    """A ball over a gradient with noise, [num_frames, height, width, 3], bfloat16."""
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (size.num_frames, size.height, size.width, 3))
    rows, columns = np.mgrid[: size.height, : size.width]
    for index, frame in enumerate(noise):
        frame[..., 1] += 2 * columns / size.width - 1
        frame[..., 0] += np.hypot(columns - 5 * index, rows - size.height / 2) < size.height / 4
    return noise.astype(ml_dtypes.bfloat16)


def no_progress(_done: int, _total: int) -> None:
    """For calls whose progress nobody looks at."""


def write(path, frames, *, fps=24, crf=18, metadata="", size=None, progress=no_progress):
    size = size or VideoSize(*frames.shape[:3])
    write_video(frames, path, size=size, fps=fps, codec="h264", crf=crf, metadata=metadata, progress=progress)
    return path


def paint(colour, *, num_frames=3, side=32):
    return np.broadcast_to(np.array(colour, ml_dtypes.bfloat16), (num_frames, side, side, 3))


def decode(path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def split_planes(frame: av.VideoFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Luma [h, w] and both chroma planes [h / 2, w / 2] of a yuv420p frame, without the padding of its rows."""
    samples, half = frame.to_ndarray().ravel(), (frame.height // 2, frame.width // 2)
    num_luma, num_chroma = frame.height * frame.width, half[0] * half[1]
    luma, *chroma = np.split(samples, [num_luma, num_luma + num_chroma])
    return luma.reshape(frame.height, frame.width), chroma[0].reshape(half), chroma[1].reshape(half)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """One video of 9 frames, 48 x 80, at 7 frames per second."""
    path = tmp_path_factory.mktemp("clip") / "video.mp4"
    return write(path, make_frames(VideoSize(9, 48, 80)), fps=7, metadata='{"prompt":"猫"}')


def test_the_video_has_all_frames_at_the_right_size_and_rate(clip):
    assert [(frame.width, frame.height) for frame in decode(clip)] == [(80, 48)] * 9
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (9, 7)
        assert stream.duration * stream.time_base == Fraction(9, 7)
        assert (stream.start_time, stream.codec_context.name) == (0, "h264")


def test_frames_are_shown_at_even_times(clip):
    assert [frame.pts * frame.time_base for frame in decode(clip)] == [Fraction(n, 7) for n in range(9)]


def test_a_video_may_be_one_frame(tmp_path):
    path = write(tmp_path / "video.mp4", make_frames(VideoSize(1, 16, 16)))
    assert len(decode(path)) == 1


@pytest.mark.parametrize("fps", [1, 24, 240])
def test_every_rate_is_kept(tmp_path, fps):
    with av.open(str(write(tmp_path / "video.mp4", paint((0, 0, 0)), fps=fps))) as container:
        assert container.streams.video[0].average_rate == fps


def test_the_colours_are_tagged_bt709_in_limited_range(clip):
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert (context.pix_fmt, *tags) == ("yuv420p", 1, 1, 1, 1)


@pytest.mark.parametrize(("colour", "samples"), PRIMARIES.values(), ids=PRIMARIES)
def test_primary_colours_have_their_bt709_samples(tmp_path, colour, samples):
    for frame in decode(write(tmp_path / "video.mp4", paint(colour), crf=0)):
        assert [np.unique(plane).tolist() for plane in split_planes(frame)] == [[sample] for sample in samples]


@pytest.mark.parametrize("colour", [colour for colour, _ in PRIMARIES.values()], ids=PRIMARIES)
def test_primary_colours_come_back_through_a_player(tmp_path, colour):
    frames = decode(write(tmp_path / "video.mp4", paint(colour)))
    for frame in frames:
        levels = frame.to_ndarray(format="rgb24").astype(int)
        # One level of luma or chroma is up to 2.2 levels of red, green or blue; crf 18 adds one more.
        assert np.abs(levels - to_levels(np.array(colour, np.float32))).max() <= 4


def test_a_chroma_sample_is_the_mean_of_its_four_pixels(tmp_path):
    stripes = np.array(paint((-1, -1, -1)))
    stripes[:, :, ::2, 0] = 1  # every other column is red
    frame = decode(write(tmp_path / "video.mp4", stripes, crf=0))[1]
    luma, blue_difference, red_difference = split_planes(frame)
    assert luma[0].tolist() == [63, 16] * 16
    assert np.unique(blue_difference).tolist() == [115]  # of 102 and 128
    assert np.unique(red_difference).tolist() == [184]  # of 240 and 128


def test_levels_are_rounded_and_cut():
    halves = np.array([-1, -0.999, 0, 0.4 / 127.5, 0.6 / 127.5, 1, 1.5, -7], np.float32)
    assert to_levels(halves).tolist() == [0, 0, 128, 128, 128, 255, 255, 0]
    every_level = (np.arange(256) / 127.5 - 1).astype(np.float32)
    assert to_levels(every_level).tolist() == list(range(256))


def test_levels_of_bfloat16_are_those_of_the_same_values_in_float32():
    values = np.linspace(-1.1, 1.1, 1001).astype(ml_dtypes.bfloat16)
    assert to_levels(values).tolist() == to_levels(values.astype(np.float32)).tolist()


# x264 uses one thread for the small size and several for the large one.
SIZES = {"small": VideoSize(9, 48, 80), "large": VideoSize(12, 400, 320)}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_equal_frames_give_equal_bytes(tmp_path, size):
    frames = make_frames(size)
    first = write(tmp_path / "first.mp4", frames, metadata="m").read_bytes()
    second = write(tmp_path / "second.mp4", frames.astype(np.float32), metadata="m").read_bytes()
    assert first == second


def test_bytes_do_not_depend_on_what_memory_held(tmp_path):
    """glibc fills new memory with the byte in MALLOC_PERTURB_; x264's macroblock tree does not stand that."""
    size = VideoSize(9, 96, 96)
    np.save(tmp_path / "frames.npy", make_frames(size).astype(np.float32))
    program = (
        "import sys, pathlib, numpy; from stages.geometry import VideoSize; from stages.export.video import *;"
        f"write_video(numpy.load(sys.argv[1]), pathlib.Path(sys.argv[2]), size={size}, fps=24, codec='h264',"
        " crf=18, metadata='', progress=lambda *_: None)"
    )
    for fill in ("1", "170"):
        command = [sys.executable, "-c", program, str(tmp_path / "frames.npy"), str(tmp_path / f"{fill}.mp4")]
        subprocess.run(command, check=True, env={**os.environ, "MALLOC_PERTURB_": fill})
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "170.mp4").read_bytes()


def test_the_file_holds_no_version_of_the_muxer_and_no_time(clip):
    content = clip.read_bytes()
    assert b"Lavf" not in content
    movie_header = content.index(b"mvhd") + len("mvhd")
    assert content[movie_header : movie_header + 12] == bytes(12)  # version, flags, created, modified


def test_the_index_stands_before_the_frames(clip):
    content = clip.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_a_smaller_crf_keeps_more(tmp_path):
    frames = make_frames(VideoSize(5, 48, 80))
    sizes = [write(tmp_path / f"{crf}.mp4", frames, crf=crf).stat().st_size for crf in (0, 10, 30, 51)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_metadata_comes_back_whole(tmp_path):
    line = json.dumps({"prompt": 'a "sign"\n猫 \\ \x00 é 😀 = ; #' * 1000}, ensure_ascii=False)
    with av.open(str(write(tmp_path / "video.mp4", paint((0, 0, 0)), metadata=line))) as container:
        assert container.metadata["comment"] == line


def test_metadata_changes_no_frame(tmp_path):
    frames = make_frames(VideoSize(3, 16, 16))
    pictures = [
        [frame.to_ndarray().tobytes() for frame in decode(write(tmp_path / f"{i}.mp4", frames, metadata=text))]
        for i, text in enumerate(("a", "b" * 99))
    ]
    assert pictures[0] == pictures[1]


def test_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"x" * 1_000_000)
    write(path, paint((0, 0, 0)))
    assert len(decode(path)) == 3


def test_progress_counts_frames(tmp_path):
    seen = []
    write(tmp_path / "v.mp4", paint((0, 0, 0)), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_frames_are_taken_one_at_a_time(tmp_path):
    size = VideoSize(9, 16, 16)
    taken: list[int] = []
    ahead: list[int] = []

    def frames() -> Iterator[np.ndarray]:
        for index, frame in enumerate(make_frames(size)):
            taken.append(index)
            yield frame

    write(tmp_path / "v.mp4", frames(), size=size, progress=lambda done, _total: ahead.append(len(taken) - done))
    assert ahead == [0] * 10


def test_a_frames_file_is_written_like_the_frames(tmp_path):
    frames = make_frames(VideoSize(5, 32, 48))
    with TensorWriter(tmp_path / "f.safetensors", "frames", shape=(1, *frames.shape), dtype="bfloat16") as file:
        file.append(frames)
    with TensorReader(tmp_path / "f.safetensors", "frames") as stored:
        write(tmp_path / "a.mp4", stored, size=VideoSize(5, 32, 48))
    assert (tmp_path / "a.mp4").read_bytes() == write(tmp_path / "b.mp4", frames).read_bytes()


def test_a_frame_of_another_size_is_an_error(tmp_path):
    with pytest.raises(ContractError) as caught:
        write(tmp_path / "video.mp4", paint((0, 0, 0)), size=VideoSize(3, 32, 48))
    assert str(caught.value) == "frame 0 is [32, 32, 3], but the video's frames are [32, 48, 3]."


@pytest.mark.parametrize(
    ("num_frames", "message"),
    [
        (2, "there are more than the 2 frames of the video."),
        (4, "there are 3 frames, but the video has 4."),
    ],
)
def test_another_number_of_frames_is_an_error(tmp_path, num_frames, message):
    with pytest.raises(ContractError) as caught:
        write(tmp_path / "video.mp4", paint((0, 0, 0)), size=VideoSize(num_frames, 32, 32))
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_an_error(tmp_path, value):
    frames = np.array(paint((0, 0, 0)))
    frames[1, 7, 5, 2] = value
    with pytest.raises(ContractError) as caught:
        write(tmp_path / "video.mp4", frames)
    assert str(caught.value) == (
        "frame 1 holds NaN or infinite values. Make the frames again: `doit forget decode`, then `doit`."
    )


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    path = tmp_path / "nowhere" / "video.mp4"
    with pytest.raises(StoreError) as caught:
        write(path, paint((0, 0, 0)))
    assert str(caught.value) == (
        f"{path}: the video cannot be written (No such file or directory). "
        "Check that the folder is there, may be written and has free space."
    )


def test_a_full_disk_is_an_error():
    with pytest.raises(StoreError) as caught:
        write(Path("/dev/full"), paint((0, 0, 0)))
    assert str(caught.value) == (
        "/dev/full: the video cannot be written (No space left on device). "
        "Check that the folder is there, may be written and has free space."
    )


@pytest.mark.parametrize("size", [VideoSize(1, 17, 16), VideoSize(1, 16, 17), VideoSize(1, 16, 32_000)])
def test_a_size_that_the_encoder_refuses_is_an_error(tmp_path, size):
    path = tmp_path / "video.mp4"
    with pytest.raises(StoreError) as caught:
        write(path, np.zeros((1, size.height, size.width, 3), np.float32))
    assert str(caught.value) == (
        f"{path}: libx264 cannot encode frames of height {size.height} and width {size.width} "
        "(Generic error in an external library). "
        "Set denoise.height and denoise.width to even numbers, or to smaller ones."
    )
