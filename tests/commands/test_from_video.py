"""`doit from`."""

import json
import os
import shutil
from pathlib import Path

import pytest

from stages.keys import Digest
from stages.models.checkpoint import Checkpoint, component_identity
from stages.pipeline.decode import VAE
from stages.store.stat_cache import StatCache
from tests.commands.store_commands import run_command
from tests.known_files import know_package
from tests.project import ALL, PROJECT, SHAPES, copy_built, list_made, run_doit
from tests.provenance.videos import build_empty_project, build_project, change_vae, line_of, publish_all, write_mp4

CODECS = ("h264", "hevc", "av1", "vp9")
# What a video is called where it comes back from.
NAMES = {"h264": "Clip (1).mp4", "hevc": "clip-without-suffix", "av1": "clip.jpg", "vp9": "clip.vp9.webm"}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A video of another project."""
    return write_mp4(tmp_path / "night.mp4", line_of(build_project(tmp_path / "made")))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, in which doit runs."""
    monkeypatch.chdir(build_empty_project(tmp_path / "empty"))
    return tmp_path / "empty"


def test_it_says_what_it_has_written_and_what_comes_next(root: Path, video: Path, capsys: pytest.CaptureFixture[str]):
    assert run_command("from", str(video)) == 0
    assert capsys.readouterr().out == (
        "params/videos/night.toml: written. The same keys: encode, denoise, decode, export.\n"
        "`doit night` makes encode, denoise, decode, export.\n"
    )
    assert (root / "params/videos/night.toml").read_text().startswith(f"# Written by `doit from {video}`.\n")


def test_with_changes_it_says_which_keys_are_others(root: Path, video: Path, capsys: pytest.CaptureFixture[str]):
    assert run_command("from", str(video), "denoise.seed=7", "--as", "other") == 0
    assert capsys.readouterr().out.startswith(
        "params/videos/other.toml: written. The same keys: encode; other keys: denoise, decode, export.\n"
    )
    assert "seed = 7\n" in (root / "params/videos/other.toml").read_text()


def test_what_is_in_the_store_already_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    root = build_project(tmp_path / "project")
    publish_all(root)
    file = write_mp4(tmp_path / "night.mp4", line_of(root))
    monkeypatch.chdir(root)
    assert run_command("from", str(file)) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "Everything is in the store: `doit night` only makes the link to the video."
    )
    assert run_command("from", str(file), "export.fps=12", "--as", "other") == 0
    assert capsys.readouterr().out.splitlines()[1] == "`doit other` makes export."


def test_with_anyway_it_says_what_is_another(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    line = line_of(build_project(tmp_path / "made"), codes={"decode": Digest("c" * 32)})
    file = write_mp4(tmp_path / "night.mp4", line)
    assert run_command("from", str(file)) == 1
    refused = capsys.readouterr().err.splitlines()
    assert not (root / "params/videos").exists()
    assert run_command("from", str(file), "--anyway") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"  --anyway: {refused[1].strip()}"
    assert f"#   {refused[1].strip()}" in (root / "params/videos/night.toml").read_text().splitlines()


def test_code_of_which_a_file_says_nothing_is_said_not_to_be_compared(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fields = json.loads(line_of(build_project(tmp_path / "made")))
    for stage in ("denoise", "export"):
        del fields["stages"][stage]["code"]
    assert run_command("from", str(write_mp4(tmp_path / "old.mp4", json.dumps(fields)))) == 0
    assert capsys.readouterr().out.splitlines()[1] == (
        "  not compared: the code of denoise, export, of which the file says nothing."
    )
    assert (root / "params/videos/old.toml").is_file()


def test_metadata_that_were_edited_are_refused(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    line = line_of(build_project(tmp_path / "made")).replace('"seed":42', '"seed":43')
    file = write_mp4(tmp_path / "night.mp4", line)
    assert run_command("from", str(file)) == 1
    assert capsys.readouterr().err == (
        f"ParamsError: {file}: what made it differs from what is here:\n"
        "  the key of denoise does not follow from what is said of it: the metadata was edited, or is of a project "
        "with other stages\n"
        "  `--anyway` goes on with what is here.\n"
    )
    assert not (root / "params/videos").exists()


def test_a_video_cannot_be_limited(root: Path, video: Path, capsys: pytest.CaptureFixture[str]):
    assert run_command("from", str(video), "video=demo") == 1
    assert capsys.readouterr().err == ("ParamsError: doit from: video=demo: writes one video. `--as NAME` names it.\n")
    assert not (root / "params/videos").exists()


def test_outside_of_a_project_nothing_is_written(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert run_command("from", str(video)) == 1
    assert capsys.readouterr().err == (
        f"ParamsError: {tmp_path}: holds no params/. Run this in the folder of dodo.py.\n"
    )


def test_settings_of_the_machine_are_no_parameters_of_the_video(root: Path, video: Path):
    assert run_command("from", str(video), "machine.artifacts=elsewhere") == 0
    assert "elsewhere" not in (root / "params/videos/night.toml").read_text()


@pytest.fixture(scope="module")
def exported(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video of each codec, as a real run has exported it; nothing of the project is beside them."""
    root = copy_built(built, tmp_path_factory.mktemp("exported") / "project")
    folder = root.parent / "downloads"
    folder.mkdir()
    for codec in CODECS:
        result = run_doit(root, f"export.codec={codec}")
        assert result.returncode == 0, result.stderr
        shutil.copyfile(root / "artifacts/videos/demo.mp4", folder / NAMES[codec])
    shutil.rmtree(root)
    return folder


def make_empty(root: Path) -> Path:
    """Only dodo.py, the settings of doit's commands, and an empty params/."""
    (root / "params").mkdir(parents=True)
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, root / name)
    return root


@pytest.mark.processes
@pytest.mark.compiles
def test_an_empty_project_makes_the_same_bytes_in_every_codec(exported: Path, built: Path, tmp_path: Path):
    root = make_empty(tmp_path / "empty")
    programs = Path("artifacts/.executables")  # which change no byte, and take long to compile
    shutil.copytree(built / programs, root / programs)
    for codec in CODECS:
        result = run_doit(root, "from", str(exported / NAMES[codec]), "--as", codec)
        assert result.returncode == 0, result.stderr
    result = run_doit(root)
    assert result.returncode == 0, result.stderr
    assert [line.split(":")[0] for line in list_made(result)] == [*ALL, "export", "export", "export"]
    for codec in CODECS:
        made = root / "artifacts/videos" / f"{codec}.mp4"
        assert made.read_bytes() == (exported / NAMES[codec]).read_bytes(), codec


def vae_of(checkpoint: Path) -> str:
    """What identifies the VAE of a checkpoint in a folder."""
    return component_identity(Checkpoint(checkpoint), VAE, StatCache(Path(os.devnull)))


@pytest.mark.processes
def test_with_a_changed_vae_it_is_refused_by_name(exported: Path, tmp_path: Path):
    root = know_package(make_empty(tmp_path / "empty"))
    (root / "params/model.toml").write_text('checkpoint = "changed"\n')
    file = exported / NAMES["h264"]
    before = vae_of(SHAPES)
    now = vae_of(change_vae(root / "changed"))
    result = run_doit(root, "from", str(file), "--as", "again")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"ParamsError: {file}: what made it differs from what is here:\n"
        f'  decode: vae: the video was made with {before}, model.checkpoint = "changed" is {now}\n'
        "  The weights that made it are here: add `model.checkpoint=builtin:shapes`. `--anyway` goes on with what is "
        "here.\n"
    )
    assert not (root / "params/videos").exists()
