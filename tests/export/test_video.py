"""Video files: what is decoded again, and that equal frames give equal bytes."""

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import ml_dtypes
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from stages.errors import ContractError, StoreError
from stages.export.codecs import CODECS
from stages.export.video import to_levels, write_video
from stages.geometry import VideoSize
from stages.tensors.files import TensorReader, TensorWriter
from training.shapes.vocabulary import BACKGROUNDS, COLORS

pytestmark = pytest.mark.processes

BEST_CRF = {"h264": 1, "hevc": 0, "av1": 0, "vp9": 0}
WORST_CRF = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}

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


def write(
    path, frames, *, fps: int | Fraction = 24, codec="h264", crf=18, metadata="", size=None, progress=no_progress
):
    size = size or VideoSize(*frames.shape[:3])
    write_video(frames, path, size=size, fps=Fraction(fps), codec=codec, crf=crf, metadata=metadata, progress=progress)
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


@pytest.fixture(scope="module", params=CODECS)
def codec(request):
    return request.param


# Size of the frames, height and width of the video.
SHAPES = {
    "even": (VideoSize(9, 48, 80), (48, 80)),
    "odd": (VideoSize(9, 47, 79), (48, 80)),
    "one frame": (VideoSize(1, 48, 80), (48, 80)),
    "two frames": (VideoSize(2, 48, 80), (48, 80)),
}


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES)
def shape(request):
    return request.param


@pytest.fixture(scope="module")
def clip(tmp_path_factory, codec, shape):
    """One video of each codec and shape, at 7 frames per second."""
    path = tmp_path_factory.mktemp("clip") / "video.mp4"
    return write(path, make_frames(shape[0]), fps=7, codec=codec, metadata='{"prompt":"猫"}')


def test_the_video_has_all_frames_at_the_right_size_and_rate(clip, shape):
    size, height_and_width = shape
    assert [(frame.height, frame.width) for frame in decode(clip)] == [height_and_width] * size.num_frames
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (size.num_frames, 7)
        assert stream.duration * stream.time_base == Fraction(size.num_frames, 7)
        assert stream.start_time == 0


def test_the_container_names_the_codec_as_players_know_it(clip, codec):
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        names = {"h264": "avc1", "hevc": "hvc1", "av1": "av01", "vp9": "vp09"}
        assert (context.codec.canonical_name, context.codec_tag) == (codec, names[codec])


def test_frames_are_shown_at_even_times(clip, shape):
    times = [Fraction(index, 7) for index in range(shape[0].num_frames)]
    assert [frame.pts * frame.time_base for frame in decode(clip)] == times


RATES = ["1", "24", "240", "24000/1001", "30000/1001", "240000/1001", "25/2", "1199/50", "361304/15625", "4001/4000"]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are not listed here")
def test_no_encoder_takes_another_priority_than_its_process_has(tmp_path, codec):
    """SVT-AV1 would have real time's highest, as root."""
    before, found = os.sched_getscheduler(0), set()

    def look(_done: int, _total: int) -> None:
        found.update(os.sched_getscheduler(int(each.name)) for each in Path("/proc/self/task").iterdir())

    write(tmp_path / "video.mp4", make_frames(VideoSize(9, 64, 96)), codec=codec, progress=look)
    assert found == {before}


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_and_the_time_of_every_frame_are_exact(tmp_path, codec, rate):
    fps = Fraction(rate)
    path = write(tmp_path / "video.mp4", paint((0, 0, 0), num_frames=9), fps=fps, codec=codec)
    assert [frame.pts * frame.time_base for frame in decode(path)] == [index / fps for index in range(9)]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == fps
        assert stream.duration * stream.time_base == 9 / fps


BT709, LIMITED = 1, 1  # ISO/IEC 23091-2 numbers primaries, transfer and matrix; FFmpeg the range


def test_the_container_tags_the_colours_as_bt709_in_limited_range(clip):
    # the box: four letters, three numbers of 16 bits, and a flag of full range
    assert b"colrnclx" + bytes([0, BT709, 0, BT709, 0, BT709, 0]) in clip.read_bytes()
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert (context.pix_fmt, *tags) == ("yuv420p", BT709, BT709, BT709, LIMITED)


def test_decoded_frames_are_tagged_as_bt709_in_limited_range(clip):
    assert {(frame.colorspace, frame.color_range) for frame in decode(clip)} == {(BT709, LIMITED)}


def read_rewritten(path, filters) -> bytes:
    """The stream after FFmpeg's bitstream filters."""
    with av.open(str(path)) as container:
        filtered = BitStreamFilterContext(filters, container.streams.video[0])
        return b"".join(bytes(out) for packet in container.demux(video=0) for out in filtered.filter(packet))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_chroma_is_tagged_as_standing_in_the_middle_of_its_pixels(tmp_path, codec):
    path = write(tmp_path / "video.mp4", paint((0, 0, 0)), codec=codec)
    rewrite = f"{codec}_mp4toannexb,{codec}_metadata"
    centre, left = (read_rewritten(path, f"{rewrite}=chroma_sample_loc_type={place}") for place in (1, 0))
    assert read_rewritten(path, rewrite) == centre != left


@pytest.mark.parametrize(("colour", "samples"), PRIMARIES.values(), ids=PRIMARIES)
def test_primary_colours_have_their_bt709_samples(tmp_path, codec, colour, samples):
    for frame in decode(write(tmp_path / "video.mp4", paint(colour), codec=codec, crf=BEST_CRF[codec])):
        assert [np.unique(plane).tolist() for plane in split_planes(frame)] == [[sample] for sample in samples]


def worst_difference(frames, colour) -> int:
    """Largest distance in any frame, pixel and channel from a colour in [-1, 1], in levels of 0..255."""
    levels = [frame.to_ndarray(format="rgb24").astype(int) for frame in frames]
    return int(np.abs(np.array(levels) - to_levels(np.array(colour, np.float32))).max())


# One level of luma or chroma is up to 2.2 levels of red, green or blue, and each is off by up to half a one.
TOLERANCE = 3


@pytest.mark.parametrize("colour", [colour for colour, _ in PRIMARIES.values()], ids=PRIMARIES)
def test_primary_colours_come_back_through_a_player(tmp_path, codec, colour):
    assert worst_difference(decode(write(tmp_path / "video.mp4", paint(colour), codec=codec)), colour) <= TOLERANCE


@pytest.mark.parametrize("levels", [*COLORS.values(), *BACKGROUNDS.values()], ids=[*COLORS, *BACKGROUNDS])
def test_the_colours_of_the_shapes_come_back_through_a_player(tmp_path, codec, levels):
    colour = np.array(levels) / 127.5 - 1
    assert worst_difference(decode(write(tmp_path / "video.mp4", paint(colour), codec=codec)), colour) <= TOLERANCE


def test_a_chroma_sample_is_the_mean_of_its_four_pixels(tmp_path, codec):
    stripes = np.array(paint((-1, -1, -1)))
    stripes[:, :, ::2, 0] = 1  # every other column is red
    frame = decode(write(tmp_path / "video.mp4", stripes, codec=codec, crf=BEST_CRF[codec]))[1]
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


@pytest.mark.parametrize(("height", "width"), [(17, 33), (16, 33), (17, 32)])
def test_an_odd_side_gets_its_last_row_or_column_once_more(tmp_path, codec, height, width):
    frames = make_frames(VideoSize(2, height, width))
    padded = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    odd = write(tmp_path / "odd.mp4", frames, codec=codec)
    assert odd.read_bytes() == write(tmp_path / "even.mp4", padded, codec=codec).read_bytes()
    assert [(frame.height, frame.width) for frame in decode(odd)] == [padded.shape[1:3]] * 2


# Encoders use one thread for the small size and several for the large one; x265 has trouble with pictures that are
# a block wide, which is up to 64 pixels, and with one or two frames.
SIZES = {
    "small": VideoSize(9, 96, 96),
    "large": VideoSize(12, 400, 320),
    "odd": VideoSize(9, 97, 95),
    "one block wide": VideoSize(9, 128, 64),
    "narrow": VideoSize(9, 128, 16),
    "one frame": VideoSize(1, 96, 96),
    "two frames": VideoSize(2, 96, 96),
    "two narrow frames": VideoSize(2, 16, 128),
}


WRITE = """
import faulthandler, os, pathlib, resource, sys
faulthandler.dump_traceback_later(100)  # says where an encoder that waits for itself was called, before `run` ends it
from fractions import Fraction
import numpy
from stages.export.video import write_video
from stages.geometry import VideoSize
def write(name, codec, frames, size):
    write_video(frames, pathlib.Path(name), size=VideoSize(*size), fps=Fraction(24), codec=codec, crf=18, metadata="",
                progress=lambda *_: None)
"""


def run(folder, program, *arguments, **environment) -> str:
    """Another process in `folder`, in which `write` is defined; two minutes are far more than it needs."""
    command = [sys.executable, "-c", WRITE + program, *arguments]
    environment = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=folder, env=environment, check=True, timeout=120, stdout=subprocess.PIPE, text=True
    ).stdout


@pytest.fixture(scope="module")
def processes(tmp_path_factory) -> Path:
    """Videos of two processes, one of which has a single core: <codec>-<size>-first.mp4 and -second.mp4.

    glibc fills new memory with the byte in MALLOC_PERTURB_; encoders do read some that they never wrote.
    """
    folder = tmp_path_factory.mktemp("processes")
    for name, size in SIZES.items():
        np.save(folder / f"{name}.npy", make_frames(size).astype(np.float32))
    program = """
run, cores, *codecs = sys.argv[1:]
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(cores)])
for path in sorted(pathlib.Path().glob("*.npy")):
    frames = numpy.load(path)
    for codec in codecs:
        write(f"{codec}-{path.stem}-{run}.mp4", codec, frames, frames.shape[:3])
"""
    run(folder, program, "first", "1", *CODECS, MALLOC_PERTURB_="1")
    run(folder, program, "second", "1024", *CODECS, MALLOC_PERTURB_="170")
    return folder


@pytest.mark.parametrize("size", SIZES)
def test_bytes_do_not_depend_on_the_process_the_cores_or_what_memory_held(processes, codec, size):
    first, second = (processes / f"{codec}-{size}-{name}.mp4" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_equal_frames_give_equal_bytes(processes, tmp_path, codec, size):
    """Whatever their dtype: those of the other processes are float32."""
    here = write(tmp_path / "here.mp4", make_frames(SIZES[size]), codec=codec)
    assert here.read_bytes() == (processes / f"{codec}-{size}-first.mp4").read_bytes()


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, codec):
    """240 frames more would be 23 MB as the encoder takes them. x265 takes more and more until it has some 150."""
    program = """
frame = numpy.linspace(-1, 1, 256 * 256 * 3, dtype=numpy.float32).reshape(256, 256, 3)
peak_kib = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def frames():
    for index in range(400):
        if index == 160:
            print(peak_kib())
        yield numpy.roll(frame, index, axis=1)
write("v.mp4", sys.argv[1], frames(), (400, 256, 256))
print(peak_kib())
"""
    early, late = (1024 * int(line) for line in run(tmp_path, program, codec).splitlines())
    assert late - early < 12_000_000


def test_a_narrow_video_does_not_hang_the_encoder(tmp_path, codec):
    """SVT-AV1 with threads does not come to an end where one side is up to 24 pixels and the other above 64."""
    program = """
for size in ((2, 16, 128), (2, 128, 16), (2, 24, 640)):
    write(f"{size}.mp4", sys.argv[1], numpy.zeros((*size, 3)), size)
"""
    run(tmp_path, program, codec)
    assert [len(decode(path)) for path in tmp_path.glob("*.mp4")] == [2, 2, 2]


def test_the_file_holds_no_version_of_the_muxer_and_no_time(clip):
    content = clip.read_bytes()
    assert b"Lavf" not in content
    movie_header = content.index(b"mvhd") + len("mvhd")
    assert content[movie_header : movie_header + 12] == bytes(12)  # version, flags, created, modified


def test_the_file_does_not_name_the_cpu(clip):
    assert b"cpuid" not in clip.read_bytes()  # among the settings that x265 writes down


def test_the_index_stands_before_the_frames(clip):
    content = clip.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_a_smaller_crf_keeps_more(tmp_path, codec):
    frames = make_frames(VideoSize(5, 48, 80))
    paths = [
        write(tmp_path / f"{crf}.mp4", frames, codec=codec, crf=crf)
        for crf in (BEST_CRF[codec], 10, 30, WORST_CRF[codec])
    ]
    sizes = [path.stat().st_size for path in paths]
    assert sizes == sorted(set(sizes), reverse=True)


def test_the_metadata_comes_back_whole(tmp_path, codec):
    line = json.dumps({"prompt": 'a "sign"\n猫 \\ \x00 é 😀 = ; #' * 1000}, ensure_ascii=False)
    with av.open(str(write(tmp_path / "video.mp4", paint((0, 0, 0)), codec=codec, metadata=line))) as container:
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


def test_progress_counts_frames(tmp_path, codec):
    seen = []
    frames = make_frames(VideoSize(60, 32, 32))
    write(tmp_path / "v.mp4", frames, codec=codec, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 60) for done in range(61)]


def test_no_more_than_two_frames_are_held(tmp_path):
    size = VideoSize(9, 16, 16)
    given: list[weakref.ref[np.ndarray]] = []
    numbers_held: list[int] = []

    def frames() -> Iterator[np.ndarray]:
        for _ in range(size.num_frames):
            frame = np.zeros((16, 16, 3), np.float32)
            given.append(weakref.ref(frame))
            numbers_held.append(sum(reference() is not None for reference in given))
            yield frame
            del frame

    write(tmp_path / "v.mp4", frames(), size=size)
    assert max(numbers_held) <= 2


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


@pytest.mark.parametrize(
    ("codec", "encoder", "size", "reason"),
    [
        ("h264", "libx264", VideoSize(1, 16, 32_000), "Generic error in an external library"),
        ("hevc", "libx265", VideoSize(1, 13, 14), "Invalid argument"),
        ("av1", "libsvtav1", VideoSize(1, 32_000, 16), "Invalid argument"),
        ("vp9", "libvpx-vp9", VideoSize(1, 2, 70_000), "Invalid argument"),
    ],
)
def test_a_size_that_the_encoder_refuses_is_an_error(tmp_path, codec, encoder, size, reason):
    path = tmp_path / "video.mp4"
    with pytest.raises(StoreError) as caught:
        write(path, np.zeros((1, size.height, size.width, 3), np.float32), codec=codec)
    assert str(caught.value) == (
        f"{path}: {encoder} cannot encode frames of height {size.height} and width {size.width} ({reason}). "
        "Set denoise.height and denoise.width to 16 to 4096, which every codec takes."
    )
