"""`doit verify` as it is typed."""

import fcntl
import io
import os
import re
import shutil
import signal
import threading
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from stages.keys import Node
from stages.machine.regular_files import digest_file
from stages.run.build import Build
from stages.run.loading import load_build
from stages.store.artifacts import Store
from stages.store.manifest import NOTE, RUN
from tests.builders import acting_as_nobody, collect, publish, record
from tests.commands.store_commands import run_command
from tests.interrupts import interruptible_children
from tests.project import copy_built, copy_project, list_made, run_doit

pytestmark = pytest.mark.processes

READ = r"\d+\.\d MiB read in \d+\.\d s, \d+\.\d MiB/s"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with artifacts of its video, and with one of other parameters."""
    root = copy_project(tmp_path_factory.mktemp("project"))
    for overrides in ({}, {"export.fps": "7"}):
        build = load_build(root, overrides)
        for node in build.graph.videos["demo"].values():
            publish(build.store, node, node.title.encode(), build.code[build.program_of(node).package])
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project"))


def node_of(root: Path, stage: str, **overrides: str) -> tuple[Build, Node]:
    build = load_build(root, {name.replace("_", ".", 1): value for name, value in overrides.items()})
    return build, build.graph.videos["demo"][stage]


def damage(root: Path, stage: str, name: str = "", **overrides: str) -> tuple[Node, Path]:
    """Change a bit of a payload, or of another file of an artifact."""
    build, node = node_of(root, stage, **overrides)
    path = build.store.folder(node.artifact) / (name or build.store.payload(node.artifact).name)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    return node, path


def verify(root: Path, *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines of stdout, stderr."""
    printed, errors = io.StringIO(), io.StringIO()
    with chdir(root), redirect_stdout(printed), redirect_stderr(errors):
        code = run_command("verify", *arguments)
    return code, printed.getvalue().splitlines(), errors.getvalue()


def assert_like(line: str, start: str) -> None:
    """Whether a line is `start`, and then says what was read."""
    assert re.fullmatch(re.escape(start) + READ + r"\.", line), line


@pytest.mark.parametrize(
    ("arguments", "number"), [([], 4), (["demo"], 4), (["export"], 1), (["--all"], 5), (["export.fps=7", "export"], 1)]
)
def test_what_is_whole_is_said_to_be(root: Path, arguments: list[str], number: int):
    code, (line,), errors = verify(root, *arguments)
    assert (code, errors) == (0, "")
    assert_like(line, f"{number} artifact{'s' if number > 1 else ''} whole: ")


def test_a_damaged_video_is_named_and_the_next_run_makes_it_again(root: Path):
    node, path = damage(root, "export")
    before = load_build(root, {}).store.folder(node.artifact) / "manifest.json"
    said = before.read_text().split('"digest": "')[1][:32]
    code, lines, errors = verify(root)
    assert (code, errors) == (1, "")
    assert lines[0] == (
        f"demo: {node.title}: {path}: xxh3 is {digest_file(path)}, the manifest says {said}. `doit` makes it again."
    )
    assert_like(lines[1], "1 of 4 artifacts damaged: ")
    build, node = node_of(root, "export")
    assert build.verdict(node).state == "forgotten"
    code, (line,), _ = verify(root)
    assert code == 0
    assert line.startswith("3 artifacts whole: ")
    assert line.endswith("/s. 1 more is yet to be made.")


def test_the_next_run_finds_a_changed_video_by_itself(root: Path):
    node, path = damage(root, "export")
    done = run_doit(root, "info", node.title)
    assert f"{path}: xxh3 is {digest_file(path)}, the manifest says " in done.stdout
    assert "the file was edited or damaged" in done.stdout


def test_what_is_of_no_present_video_is_found_by_all_alone(root: Path):
    node, path = damage(root, "export", export_fps="7")
    assert verify(root)[0] == 0
    code, lines, _ = verify(root, "--all")
    assert code == 1
    assert lines[0].startswith(f"no present video: {node.title}: {path}: xxh3 is ")
    assert lines[0].endswith(". It is made again when a video needs it.")
    assert lines[1].startswith("1 of 5 artifacts damaged: ")


def test_a_damaged_run_json_costs_no_result(root: Path):
    node, path = damage(root, "denoise", RUN)
    code, lines, _ = verify(root)
    assert code == 1
    assert lines[0] == (
        f"demo: {node.title}: {path}: is not what was written; it only says how the result was made. The result is "
        "whole, and the file is run.damaged.json now."
    )
    assert verify(root)[0] == 0


def test_a_damaged_note_costs_no_result(root: Path):
    node, path = damage(root, "denoise", NOTE)
    code, lines, _ = verify(root)
    assert code == 1
    assert lines[0].startswith(f"demo: {node.title}: {path}: is damaged (")
    assert lines[0].endswith("; it only says that the result was whole. The result is whole.")
    assert verify(root)[0] == 0


def test_of_a_store_that_is_not_there_nothing_is_read(root: Path):
    shutil.rmtree(root / "artifacts")
    assert verify(root) == (0, ["nothing to verify. 4 more are yet to be made."], "")
    assert verify(root, "--all") == (0, ["nothing to verify."], "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demmo"], "ParamsError: demmo: no such task. Did you mean `demo`? `doit list --all` names all.\n"),
        (["--al"], None),
        (
            ["--all", "demo"],
            "ParamsError: doit verify: --all is everything in the store. Leave the names, or --rebuild, out.\n",
        ),
        (
            ["--all", "--rebuild"],
            "ParamsError: doit verify: --all is everything in the store. Leave the names, or --rebuild, out.\n",
        ),
    ],
)
def test_wrong_use_is_one_message(root: Path, arguments: list[str], message: str | None):
    code, lines, errors = verify(root, *arguments)
    if message is None:  # an option may be shortened, as with every command
        assert (code, errors) == (0, "")
    else:
        assert (code, lines, errors) == (1, [], message)


def test_a_video_that_cannot_be_made_is_named_after_all_others_are_verified(root: Path):
    (root / "params/videos/harbour.toml").write_text("[denoise]\nsed = 1\n")
    code, (line,), errors = verify(root)
    assert code == 1
    assert line.startswith("4 artifacts whole: ")
    assert "harbour" in errors
    assert verify(root, "demo")[0] == 0
    assert verify(root, "--all")[0] == 0


def test_rebuild_says_whether_the_bytes_are_equal(root: Path):
    latents = np.linspace(-2, 2, 32 * 3 * 4 * 4, dtype=np.float32).reshape(1, 32, 3, 4, 4)
    save_file({"latents": latents}, root / "latents.safetensors")
    build, node = node_of(root, "denoise", denoise_from_file="latents.safetensors")
    names = [node.title, f"denoise.from_file={root / 'latents.safetensors'}"]
    code = build.code[build.program_of(node).package]
    publish(build.store, node, save({"latents": latents}), code)
    ended, lines, errors = verify(root, "--rebuild", *names)
    assert (ended, lines[-2:], errors) == (
        0,
        [f"{node.title}: equal to the bit", "1 artifact made again: 1 equal to the bit."],
        "",
    )
    publish(build.store, node, save({"latents": latents + np.float32(0.25)}), code)
    ended, lines, errors = verify(root, *names, "--rebuild")
    assert (ended, errors) == (1, "")
    assert lines[-2:] == [
        f"{node.title}: other bytes; latents: 1,536 of 1,536 values differ, by 0.25 at most, PSNR 24.1 dB",
        "1 artifact made again: 0 equal to the bit, 1 with other bytes.",
    ]


def test_rebuild_says_that_the_stored_file_is_the_damaged_one(built: Path, tmp_path: Path):
    root = copy_built(built, tmp_path / "project")
    node, path = damage(root, "export")
    said = (path.parent / "manifest.json").read_text().split('"digest": "')[1][:32]
    code, lines, errors = verify(root, "--rebuild", "export")
    assert (code, errors) == (1, "")
    assert lines[-2:] == [
        f"{node.title}: {path}: is damaged: xxh3 is {digest_file(path)}, the manifest says {said}. What was made again "
        f"is what the manifest says. `doit verify {node.title}` marks it as damaged.",
        "1 artifact made again: 0 equal to the bit, 1 of which the stored file is damaged.",
    ]


def test_rebuild_refuses_what_cannot_be_compared_before_it_makes_anything(root: Path):
    _, node = node_of(root, "export", export_fps="9")
    code, lines, errors = verify(root, "--rebuild", "export", "export.fps=9")
    assert code == 1
    assert lines == ["0 artifacts made again. 1 could not be compared."]
    assert errors == (
        f"StageError: {node.title}: is not in the store: there is nothing to compare with. `doit` makes it.\n"
    )


def test_help_says_what_the_exit_code_means(root: Path):
    done = run_doit(root, "help", "verify")
    assert done.returncode == 0
    assert "Exit code: 0 when all files are what they were" in done.stdout


def test_elsewhere_than_in_a_project_it_is_one_message(tmp_path: Path):
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(Path(__file__).parents[2] / name, tmp_path)
    assert verify(tmp_path) == (
        1,
        [],
        f"ParamsError: {tmp_path}: holds no params/. Run this in the folder of dodo.py.\n",
    )


@pytest.mark.parametrize("after", [(), ("verify",)], ids=["found by the run", "found by verify"])
def test_a_changed_byte_of_a_finished_video_costs_its_export_and_nothing_else(
    built: Path, tmp_path: Path, after: tuple[str, ...]
):
    root = copy_built(built, tmp_path / "project")
    video = root / "artifacts/videos/demo.mp4"
    whole = video.read_bytes()
    with video.open("r+b") as file:
        file.seek(len(whole) // 2)
        file.write(bytes([whole[len(whole) // 2] ^ 1]))
    if after:
        assert run_doit(root, *after).returncode == 1
    done = run_doit(root)
    assert done.returncode == 0
    (line,) = list_made(done)
    assert line.startswith("export:")
    assert line.endswith(" s, the bytes that were there before they were damaged")
    assert video.read_bytes() == whole
    assert list_made(run_doit(root)) == []
    assert verify(root)[0] == 0


@pytest.fixture
def here(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The project, as the working folder of this process, which has imported all that it needs: nobody may not."""
    monkeypatch.chdir(root)
    assert run_command("verify") == 0
    capsys.readouterr()
    return root


def test_what_may_not_be_read_is_named_and_stays(here: Path, capsys: pytest.CaptureFixture[str]):
    build, node = node_of(here, "export")
    path = build.store.payload(node.artifact)
    path.chmod(0)
    with acting_as_nobody(path):
        assert run_command("verify") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (f"demo: {node.title}: {path}: cannot be read (Permission denied). Fix that and run it again.")
    assert lines[1].startswith("3 artifacts whole: ")
    assert lines[1].endswith(" 1 more cannot be read.")
    path.chmod(0o644)
    assert build.verdict(node).is_fresh


def test_where_nothing_can_be_read_that_is_said(here: Path, capsys: pytest.CaptureFixture[str]):
    build, node = node_of(here, "export")
    path = build.store.payload(node.artifact)
    path.chmod(0)
    with acting_as_nobody(path):
        assert run_command("verify", "export") == 1
    assert capsys.readouterr().out.splitlines()[1] == "nothing was read. 1 more cannot be read."


def test_a_stage_that_may_not_be_read_is_one_message(here: Path, capsys: pytest.CaptureFixture[str]):
    stage = here / "artifacts/denoise"
    stage.chmod(0)
    with acting_as_nobody(stage):
        assert run_command("verify", "--all") == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"{stage}: Permission denied. Fix that and run it again.\n")


@pytest.mark.parametrize(
    ("stages", "said"),
    [(("decode",), "1 more was deleted by `doit gc`."), (("encode", "decode"), "2 more were deleted by `doit gc`.")],
)
def test_what_is_collected_is_not_yet_to_be_made(
    here: Path, capsys: pytest.CaptureFixture[str], stages: tuple[str, ...], said: str
):
    build = load_build(here, {})
    for stage in stages:
        collect(Store(build.store.root), build.graph.videos["demo"][stage])
    assert run_command("verify") == 0
    assert capsys.readouterr().out.endswith(f"/s. {said}\n")


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (("decode",), "1 more is known from the remote store, and not here."),
        (("encode", "decode"), "2 more are known from the remote store, and not here."),
    ],
)
def test_what_was_never_here_was_not_deleted(
    here: Path, capsys: pytest.CaptureFixture[str], stages: tuple[str, ...], said: str
):
    build = load_build(here, {})
    for stage in stages:
        record(Store(build.store.root), build.graph.videos["demo"][stage])
    assert run_command("verify") == 0
    assert capsys.readouterr().out.endswith(f"/s. {said}\n")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "Some of what is damaged may be marked, so that `doit` makes it again."),
        (["--rebuild", "encode"], "Nothing was published."),
    ],
    ids=["marks", "rebuilds"],
)
def test_ctrl_c_says_what_may_have_been_done(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], what: str
):
    damage(here, "export")
    with (here / "artifacts/.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiter = threading.Thread(target=interrupt_who_waits_for_a_lock)
        with interruptible_children():  # and this process, likewise
            waiter.start()
            assert run_command("verify", *arguments) == 1
        waiter.join()
    assert capsys.readouterr().err == f"interrupted. {what}\n"


def interrupt_who_waits_for_a_lock() -> None:
    """Send this process a SIGINT as soon as it waits for a lock."""
    for _ in range(3_000):
        waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
        if any(str(os.getpid()) in fields for fields in waiting):
            break
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
