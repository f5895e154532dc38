"""`doit diff`."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.commands.store_commands import run_command
from tests.diff.made_videos import Videos, build_videos, changed, noise
from tests.project import HEAVY, PROJECT, copy_built, run_doit, stages_run, watch_doit

pytestmark = pytest.mark.processes


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Videos:
    """Made with one seed, then with another."""
    videos = build_videos(tmp_path / "project")
    monkeypatch.chdir(videos.root)
    videos.make(noise())
    videos.make(changed(noise(), first=2, by=0.0625), latents=0.5, denoise_seed="7")
    return videos


@pytest.mark.usefixtures("videos")
def test_a_video_is_compared_with_what_it_was_before(capsys: pytest.CaptureFixture[str]):
    assert run_command("diff", "demo") == 0
    lines = capsys.readouterr().out.splitlines()
    prompt = '"A red circle moves to the right."'
    assert lines[:7] == [
        f"demo@before: {prompt}",
        f"demo: {prompt}",
        "",
        "encode   equal to the bit",
        "denoise  seed 42 -> 7",
        "         latents: 128 of 128 values differ, by 0.5 at most",
        "decode   frame 2 of 5 is the first that differs; by 0.0645 at most",
    ]
    assert [line.split()[0] for line in lines[7::2][:3]] == ["PSNR:", "SSIM:", "XPSNR:"]
    assert lines[-1] == "export   other bytes; equal values"


@pytest.mark.usefixtures("videos")
def test_two_are_compared_in_the_order_in_which_they_are_named(capsys: pytest.CaptureFixture[str]):
    assert run_command("diff", "demo", "demo@before") == 0
    assert "\ndenoise  seed 7 -> 42\n" in capsys.readouterr().out


@pytest.mark.usefixtures("videos")
def test_a_video_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str]):
    assert run_command("diff", "demo", "demo") == 0
    assert capsys.readouterr().out.endswith("\n\nthe same: parameters, components and bytes of all stages\n")


@pytest.mark.usefixtures("videos")
def test_scripts_read_json(capsys: pytest.CaptureFixture[str]):
    assert run_command("diff", "demo", "--json", "--floor") == 0
    fields = json.loads(capsys.readouterr().out)
    assert (fields["first"], fields["second"]) == ("demo@before", "demo")
    assert [stage["stage"] for stage in fields["stages"]] == ["encode", "denoise", "decode", "export"]
    assert fields["stages"][2]["frames"]["psnr"]["frames"][0] is None
    assert fields["floor"]["missing"] == ["bfloat16"]


@pytest.mark.usefixtures("videos")
def test_a_floor_that_is_not_there_says_what_makes_it(capsys: pytest.CaptureFixture[str]):
    assert run_command("diff", "demo", "--floor") == 0
    assert capsys.readouterr().out.endswith(
        "\n\nfloor: not all is in the store of demo in bfloat16. For the cost of that video:\n  doit from demo "
        "encode.dtype=bfloat16 denoise.dtype=bfloat16 decode.dtype=bfloat16 --as demo-bfloat16 && doit demo-bfloat16\n"
    )


def test_a_plot_is_written(videos: Videos):
    assert run_command("diff", "demo", "--plot", "seeds.svg") == 0
    drawing = ElementTree.parse(videos.root / "seeds.svg").getroot()  # noqa: S314 (made here)
    assert len([*drawing.iter("{http://www.w3.org/2000/svg}polyline")]) == 3


@pytest.mark.usefixtures("videos")
def test_a_file_whose_name_looks_like_a_parameter_can_stand_second(capsys: pytest.CaptureFixture[str]):
    assert run_command("diff", "demo", "clip.webm") == 1
    assert capsys.readouterr().err.startswith("StoreError: clip.webm: no such file, artifact or video")


@pytest.mark.usefixtures("videos")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "ParamsError: doit diff: takes two files, artifacts or videos, or one video, and not 0. `doit help diff` "
            "says more.",
        ),
        (
            ["demo@before"],
            "ParamsError: doit diff: takes two files, artifacts or videos, or one video, and not demo@before alone. "
            "`doit help diff` says more.",
        ),
        (
            ["a", "b", "c"],
            "ParamsError: doit diff: takes two files, artifacts or videos, or one video, and not 3. `doit help diff` "
            "says more.",
        ),
        (
            ["demo", "denoise.seed=3"],
            "ParamsError: doit diff: denoise.seed=3: compares what has been made. Make it first, `doit VIDEO "
            "denoise.seed=3`; then `doit diff VIDEO` compares it with what the video was before.",
        ),
        (
            ["demo", "demo", "--plot", "x.svg"],
            "StoreError: x.svg: is not written: there are no frames that differ and can be compared.",
        ),
        (
            ["demo", "--plot", "nowhere/x.svg"],
            "StoreError: nowhere/x.svg: cannot be written (No such file or directory). Name another file.",
        ),
    ],
)
def test_what_cannot_be_done_is_one_message(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert run_command("diff", *arguments) == 1
    assert capsys.readouterr() == ("", f"{message}\n")


def test_nothing_is_changed(videos: Videos):
    before = sorted((path, path.lstat().st_mtime_ns) for path in videos.root.rglob("*"))
    assert run_command("diff", "demo", "--floor") == 0
    assert sorted((path, path.lstat().st_mtime_ns) for path in videos.root.rglob("*")) == before


def test_it_loads_nothing_heavy_itself(videos: Videos):
    (videos.root / "pyproject.toml").write_bytes((PROJECT / "pyproject.toml").read_bytes())
    code, _, modules = watch_doit(videos.root, "diff", "demo")
    assert code == 0
    assert not HEAVY & modules


def test_a_real_run_leaves_what_its_video_was_before(built: Path, tmp_path: Path):
    root = copy_built(built, tmp_path / "made")
    assert stages_run(root, "export.crf=40") == ["export"]
    result = run_doit(root, "diff", "demo")
    assert (result.returncode, result.stderr) == (0, "")
    *_, encode, denoise, decode, export, pictures = result.stdout.splitlines()
    assert [line.split(maxsplit=1)[1] for line in (encode, denoise, decode)] == ["equal to the bit"] * 3
    assert export == "export   crf 18 -> 40"
    assert re.fullmatch(r" {9}pictures: [\d,]+ of 248,832 values differ, by \d+ at most, PSNR \d\d\.\d dB", pictures)
