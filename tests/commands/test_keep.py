"""`doit keep`: chosen videos of a sweep become files, and share all that has been made."""

import errno
import resource
from pathlib import Path

import pytest

from stages.commands import keep
from stages.run.loading import load_build
from tests.commands.store_commands import build_project, run_command
from tests.known_files import know_package
from tests.request.sweeps import DEMO, write_sweep


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(know_package(build_project(tmp_path)))
    write_sweep(tmp_path, 'encode.prompt = ["A circle.", "A square."]\ndenoise.seed = [1, 2]\n')
    return tmp_path


def videos(root: Path) -> set[str]:
    return {path.stem for path in (root / "params/videos").iterdir()}


def keys(root: Path, video: str) -> list[str]:
    return [node.key for node in load_build(root, {}).graph.videos[video].values()]


def test_a_kept_video_has_the_keys_that_it_had_and_its_name(root: Path, capsys: pytest.CaptureFixture[str]):
    before = keys(root, "harbour-3")
    assert run_command("keep", "harbour-3") == 0
    assert capsys.readouterr().out == (
        "harbour-3: written to params/videos/harbour-3.toml. It shares all that has been made of it.\n"
    )
    assert videos(root) == {"demo", "harbour", "harbour-3"}
    assert keys(root, "harbour-3") == before
    assert [*load_build(root, {}).graph.sweeps["harbour"]] == ["harbour-1", "harbour-2", "harbour-4"]


def test_a_kept_video_can_have_another_name_and_the_sweep_stays_as_it_was(root: Path):
    before = keys(root, "harbour-3")
    assert run_command("keep", "harbour-3=harbour-final", "harbour-1") == 0
    assert videos(root) == {"demo", "harbour", "harbour-1", "harbour-final"}
    assert keys(root, "harbour-final") == before
    assert [*load_build(root, {}).graph.sweeps["harbour"]] == ["harbour-2", "harbour-3", "harbour-4"]


def test_a_kept_name_stays_with_its_video_whatever_is_added_to_the_sweep(root: Path):
    before = keys(root, "harbour-2")
    run_command("keep", "harbour-3")
    write_sweep(root, 'encode.prompt = ["A circle.", "A square."]\ndenoise.seed = [3, 1, 2]\n')
    assert keys(root, "harbour-2") == before
    assert "harbour-3" not in load_build(root, {}).graph.sweeps["harbour"]


def test_the_name_of_a_sweep_means_all_of_it(root: Path):
    assert run_command("keep", "harbour") == 0
    assert videos(root) == {"demo", "harbour", "harbour-1", "harbour-2", "harbour-3", "harbour-4"}
    assert load_build(root, {}).graph.faults == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "doit keep: name videos of a sweep. `doit list` shows what there is."),
        (["demo"], "demo: has a file of its own already, params/videos/demo.toml."),
        (
            ["harbour-5"],
            "harbour-5: no such video of a sweep. Did you mean `harbour-4`? `doit list` shows what there is.",
        ),
        (
            ["harbour-1=demo"],
            "params/videos/demo.toml: is there already, and stays as it is. Give harbour-1 another name: `doit keep "
            "harbour-1=NAME`.",
        ),
        (
            ["harbour-1=Final"],
            "harbour-1=Final: a video's name is made of a-z, 0-9, _ and -, the first a letter or digit. Rename it.",
        ),
        (["harbour-1=decode"], "harbour-1=decode: `decode` is the name of a stage or a command. Rename the file."),
        (["harbour-1=keep"], "harbour-1=keep: `keep` is the name of a stage or a command. Rename the file."),
        (["harbour-1=harbour-2"], "harbour-1=harbour-2: is the name of another video. Give it a name of its own."),
        (["harbour-1=x", "harbour-2=x"], "x: is given to two videos. Give each a name of its own."),
        (
            ["harbour=x"],
            "harbour=x: is a sweep, and a file is one video. Name one, such as `harbour-1=x`.",
        ),
        (
            ["harbour-1", "denoise.seed=7"],
            "doit keep: denoise.seed=7: looks at what the files in params/ say. `doit pin VIDEO denoise.seed=7` keeps "
            "another version of a video.",
        ),
    ],
)
def test_what_cannot_be_kept_is_an_error_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    before = videos(root)
    assert run_command("keep", *arguments) == 1
    assert capsys.readouterr().err == f"ParamsError: {message}\n"
    assert videos(root) == before


def test_one_that_cannot_be_kept_keeps_the_others_from_being_written(root: Path):
    before = videos(root)
    assert run_command("keep", "harbour-1", "harbour-2=demo") == 1
    assert videos(root) == before


def test_of_a_video_that_cannot_be_made_the_reason_is_given(root: Path, capsys: pytest.CaptureFixture[str]):
    write_sweep(root, "denoise.seed = [1, -1]\n")
    assert run_command("keep", "harbour-2") == 1
    assert capsys.readouterr().err.startswith(
        "ParamsError: harbour-2: params/videos/harbour.toml, [sweep], denoise.seed = -1: must be 0 to "
    )


def test_a_link_that_leads_nowhere_is_not_written_through(root: Path):
    (root / "params/videos/x.toml").symlink_to(root / "elsewhere.toml")
    assert run_command("keep", "harbour-1=x") == 1
    assert not (root / "elsewhere.toml").exists()


def test_of_a_file_that_cannot_be_written_nothing_is_left(root: Path, capsys: pytest.CaptureFixture[str]):
    run_command("keep", "harbour-2=x")  # so that the store remembers the numbers
    before, limits = videos(root), resource.getrlimit(resource.RLIMIT_FSIZE)
    capsys.readouterr()
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
    try:
        assert run_command("keep", "harbour-1") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capsys.readouterr().err == (
        "ParamsError: params/videos/harbour-1.toml: cannot be written (File too large), so no file was. Fix that and "
        "run it again.\n"
    )
    assert videos(root) == before


def test_where_a_later_one_cannot_be_written_none_is(root: Path, monkeypatch: pytest.MonkeyPatch):
    before = videos(root)
    write = keep.write_new_file

    def write_or_fail(path: Path, text: str) -> None:
        if path.stem == "harbour-2":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(keep, "write_new_file", write_or_fail)
        assert run_command("keep", "harbour-1", "harbour-2") == 1
    assert videos(root) == before
    assert run_command("keep", "harbour-1", "harbour-2") == 0


def test_the_file_reads_as_that_of_the_sweep(root: Path):
    run_command("keep", "harbour-1")
    text = (root / "params/videos/harbour-1.toml").read_text(encoding="utf-8")
    comment = DEMO.splitlines()[0]
    assert text.splitlines()[:2] == ['kept_from = "harbour"  # which leaves the name to this file', comment]
    assert "[sweep]" not in text
