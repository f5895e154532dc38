"""`doit gc`: what is asked for, what is said, and the exit code."""

import json
from pathlib import Path

import pytest

from stages.machine.kept_programs import FOLDER as PROGRAMS
from stages.store.artifacts import Store
from stages.store.pins import Pins
from stages.store.video_links import VideoLinks
from tests.builders import collect
from tests.commands.store_commands import build_project, make, run_command, states
from tests.mounts import mounted
from tests.store.leases_held import held


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(build_project(tmp_path))
    return tmp_path


def test_what_is_left_of_artifacts_that_were_deleted_before_goes_and_is_said(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    make(root)
    old = make(root, denoise_seed="7")
    store = Store(root / "artifacts")
    for stage in ("denoise", "decode", "export"):
        collect(store, old[stage])
    for arguments, verb in ((["--dry-run"], "would be deleted"), ([], "deleted")):
        assert run_command("gc", *arguments) == 0
        assert capsys.readouterr().out == (
            f"{verb}: what was left of 3 artifacts after an earlier `doit gc`\n"
            "kept: 102 kB wanted, pinned or in use, 0 B of the rest.\n"
        )
    assert states(root, old) == ["fresh", "absent", "absent", "absent"]


def test_what_could_not_be_deleted_is_said_and_the_exit_code_is_1(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    (root / "artifacts" / PROGRAMS).mkdir(mode=0o777)
    (root / "artifacts" / PROGRAMS).chmod(0o777)  # not closed to others
    assert run_command("gc") == 1
    assert capsys.readouterr().err.startswith(f"compiled programs stay: {root / 'artifacts' / PROGRAMS}: is not")


def test_the_text_of_files_gives_no_orders_to_a_terminal(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    make(root, encode_prompt="\x1b[2J")
    assert run_command("gc", "--dry-run", "--keep", "0") == 0
    assert capsys.readouterr().out.startswith('"\\x1b[2J" (')


@pytest.mark.parametrize("command", ["gc", "du", "pins"])
def test_numbers_of_hundreds_of_digits_in_files_stop_nothing(root: Path, command: str):
    old = make(root, denoise_seed="7")
    make(root)
    folder = root / "artifacts/decode" / old["decode"].key
    (folder / "run.json").write_text('{"wall_s": {"decode": 1%s}}' % ("0" * 400))
    fields = json.loads((folder / "manifest.json").read_text())
    del fields["checksum"]
    (folder / "manifest.json").write_text(json.dumps(fields | {"size_bytes": 10**400}))
    assert run_command(command) == 0


def test_where_nothing_was_made_nothing_is_done(root: Path, capsys: pytest.CaptureFixture[str]):
    assert run_command("gc", "--keep", "0") == 0
    assert capsys.readouterr().out == f"{root / 'artifacts'}: nothing has been made yet.\n"
    (root / "artifacts").mkdir()
    assert run_command("gc", "--keep", "0") == 0
    assert capsys.readouterr().out == "nothing to delete.\nkept: 0 B wanted, pinned or in use, 0 B of the rest.\n"


def test_without_keep_the_rest_stays_and_it_is_said_how_to_delete_it(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    old = make(root, denoise_seed="7")
    assert run_command("gc") == 0
    assert states(root, old) == ["fresh"] * 4
    assert capsys.readouterr().out == (
        "nothing to delete.\nkept: 102 kB wanted, pinned or in use, 101 kB of the rest. `doit gc --keep SIZE` or "
        "`--keep AGE` deletes of the rest.\n"
    )


def test_what_the_files_in_params_say_stays_and_the_rest_goes(root: Path, capsys: pytest.CaptureFixture[str]):
    wanted, old = make(root), make(root, denoise_seed="7")
    assert run_command("gc", "--keep", "0") == 0
    assert states(root, wanted) == ["fresh"] * 4
    assert states(root, old) == ["fresh", "absent", "absent", "absent"]
    assert capsys.readouterr().out == (
        "deleted: 3 artifacts, 101 kB, 17 min 32 s of computing to have all of it again\n"
        "kept: 102 kB wanted, pinned or in use, 0 B of the rest.\n"
    )


def test_frames_go_first_and_the_video_stays_fresh(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    old = make(root, denoise_seed="7")
    assert run_command("gc", "--keep", "1kB") == 0
    assert states(root, old) == ["fresh", "fresh", "collected", "fresh"]
    assert "deleted: 1 artifact, 100 kB, 50 s of computing to have it again" in capsys.readouterr().out


def test_a_dry_run_lists_by_video_and_prompt_and_deletes_nothing(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    old = make(root, denoise_seed="7")
    assert run_command("gc", "--dry-run", "--keep", "1kB") == 0
    assert states(root, old) == ["fresh"] * 4
    heading, line, total, _ = capsys.readouterr().out.splitlines()
    assert heading == 'demo: "A red circle moves to the right." (100 kB)'
    assert line.startswith(f"  {old['decode'].title:<22}   100 kB  used ")
    assert line.endswith(" s ago, 50 s to have it again")
    assert total == "would be deleted: 1 artifact, 100 kB, 50 s of computing to have it again"


def test_what_is_pinned_stays(root: Path):
    make(root)
    old = make(root, denoise_seed="7")
    assert run_command("pin", "demo", "denoise.seed=7") == 0
    assert run_command("gc", "--keep", "0") == 0
    assert states(root, old) == ["fresh"] * 4


def test_what_another_process_reads_stays(root: Path):
    make(root)
    old = make(root, denoise_seed="7")
    with held(root / "artifacts", old["export"], [old[stage].artifact for stage in ("encode", "denoise", "decode")]):
        assert run_command("gc", "--keep", "0") == 0
        assert states(root, old) == ["fresh"] * 4


NO_LIMIT = "must be a size such as 50GB, 500MB or 20GiB, an age such as 12h, 30d or 8w, or 0 for nothing.\n"
FAULT = (
    "ParamsError: params/videos/harbour.toml, denoise.sed: no such parameter. Did you mean `seed`?\n"
    "Nobody knows what these videos need, so no artifact was deleted. Correct their files or move them away, or keep "
    "of them only what their links show: `doit gc --skip-faulty`.\n"
)


def break_video(root: Path) -> None:
    (root / "params/videos/harbour.toml").write_text('[encode]\nprompt = "x"\n[denoise]\nsed = 1\n')


def test_while_a_video_cannot_be_read_no_artifact_goes(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    old = make(root, denoise_seed="7")
    break_video(root)
    assert run_command("gc", "--keep", "0") == 1
    assert states(root, old) == ["fresh"] * 4
    assert capsys.readouterr().err == FAULT


def test_of_a_video_that_cannot_be_read_what_its_link_shows_can_be_kept(root: Path):
    make(root)
    harbour, old = make(root, denoise_seed="7"), make(root, denoise_seed="8")
    link = root / "artifacts/videos/harbour.mp4"
    link.parent.mkdir()
    link.symlink_to(f"../export/{harbour['export'].key}/video.mp4")
    break_video(root)
    assert run_command("gc", "--keep", "0", "--skip-faulty") == 0
    assert states(root, harbour) == ["fresh"] * 4
    assert states(root, old) == ["fresh", "absent", "absent", "absent"]


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["in the store", "links elsewhere"])
@pytest.mark.parametrize("name", ["harbour-1", "harbour-12.draft", "harbour.draft"])
def test_of_a_sweep_that_cannot_be_read_what_its_links_show_is_kept(root: Path, name: str, is_elsewhere: bool):
    make(root)
    harbour, old = make(root, denoise_seed="7"), make(root, denoise_seed="8")
    if is_elsewhere:
        (root / "elsewhere/videos").mkdir(parents=True)
        (root / "artifacts/videos").symlink_to(root / "elsewhere/videos")
    VideoLinks(Store(root / "artifacts"), suffix=".mp4").point_to(name, harbour["export"].artifact)
    break_video(root)
    assert run_command("gc", "--keep", "0", "--skip-faulty") == 0
    assert states(root, harbour) == ["fresh"] * 4
    assert states(root, old) == ["fresh", "absent", "absent", "absent"]
    assert (root / f"artifacts/videos/{name}.mp4").is_file()


def test_a_wrong_default_stops_it_before_anything_is_deleted(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    (root / "params/denoise.toml").write_text("sed = 1\n")
    assert run_command("gc", "--keep", "0") == 1
    assert capsys.readouterr().err.startswith("ParamsError: params/denoise.toml, denoise.sed: no such parameter.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--keep", "50"],
            f"ParamsError: doit gc: --keep 50: {NO_LIMIT}",
        ),
        (
            ["--keep-logs", "x"],
            f"ParamsError: doit gc: --keep-logs x: {NO_LIMIT}",
        ),
        (["demo"], "ParamsError: doit gc: takes no names, and not demo. `doit help gc` says what it takes.\n"),
        (
            ["denoise.seed=7"],
            "ParamsError: doit gc: denoise.seed=7: looks at what the files in params/ say. `doit pin VIDEO "
            "denoise.seed=7` keeps another version of a video.\n",
        ),
    ],
)
def test_what_it_does_not_take_is_one_message(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    make(root)
    assert run_command("gc", *arguments) == 1
    assert capsys.readouterr() == ("", message)


def test_a_pin_that_cannot_be_read_is_one_message(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    run_command("pin", "demo")
    (file,) = Pins(root / "artifacts").files()
    file.write_text("{")
    capsys.readouterr()
    assert run_command("gc", "--keep", "0") == 1
    assert capsys.readouterr().err == (
        f"StoreError: {file}: cannot be read (Expecting property name enclosed in double quotes: line 1 column 2 (char "
        "1)). It says what is pinned: correct it, or delete it and pin that again. Until then nothing is deleted.\n"
    )


def test_what_cannot_be_read_is_left_and_counted(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    old = make(root, denoise_seed="7")
    manifest = root / "artifacts/export" / old["export"].key / "manifest.json"
    manifest.write_text("{}")
    assert run_command("gc", "--keep", "0") == 0
    assert manifest.exists()
    assert "not touched, because it cannot be read: 1 artifact, " in capsys.readouterr().out


def test_help_says_what_stays(root: Path, capsys: pytest.CaptureFixture[str]):
    assert run_command("gc", "--help") == 0
    assert "Always keeps what the present parameters need" in capsys.readouterr().out
    assert not (root / "artifacts").exists()


def test_a_link_that_would_lead_nowhere_is_said_to_go_before_and_to_be_of_what_is_gone_after(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    make(root)
    old = make(root, denoise_seed="7")
    links = VideoLinks(Store(root / "artifacts"), suffix=".mp4")
    links.point_to("slow", old["export"].artifact)
    what = "artifacts/videos/slow.mp4, a link to a video that"
    for arguments, said in ((["--dry-run"], f"would be deleted: {what} goes\n"), ([], f"deleted: {what} is gone\n")):
        assert run_command("gc", "--keep", "0", *arguments) == 0
        printed = capsys.readouterr().out
        assert said in printed
        assert ('slow: "A red circle' in printed) == bool(arguments)  # and not "demo, slow"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "1d", "--keep", "2d"], "doit gc: --keep is given 2 times (1d, 2d). Give it once.\n"),
        (["--keep-logs=0", "--keep-l", "0"], "doit gc: --keep-logs is given 2 times (0, 0). Give it once.\n"),
        (["--keep="], "doit gc: --keep: has no value. Give it one, or leave it out.\n"),
        (["--keep-programs="], "doit gc: --keep-programs: has no value. Give it one, or leave it out.\n"),
        (
            ["--keep", "99999999999999999999999999d"],
            "ParamsError: doit gc: --keep 99999999999999999999999999d: is too large: the number may have 12 digits.\n",
        ),
    ],
)
def test_a_limit_that_cannot_be_meant_is_one_message_and_nothing_is_deleted(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    old = make(root, denoise_seed="7")
    assert run_command("gc", *arguments) == 1
    assert capsys.readouterr() == ("", message)
    assert {*states(root, old)} <= {"fresh"}


def test_on_a_store_that_may_only_be_read_it_says_so_and_a_dry_run_works(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    with mounted(root / "artifacts", "ro"):
        assert run_command("gc", "--dry-run") == 0
        assert run_command("gc") == 1
    assert capsys.readouterr().err == (
        f"StoreError: {root}/artifacts: is on a read-only file system. Mount it for writing, or set `artifacts` in "
        "params/machine.toml to another folder.\n"
    )
