"""`doit timings`."""

import json
import shutil
from pathlib import Path

import pytest

from stages.keys import Node
from stages.run.loading import load_build
from tests.commands.explained_project import build_made, edit_run
from tests.commands.store_commands import make, run_command


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Node]]:
    root = tmp_path_factory.mktemp("made")
    return root, build_made(root)


@pytest.fixture
def root(made: tuple[Path, dict[str, Node]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose video was made on the machine "here", of which the second denoise was compiled anew."""
    root = Path(shutil.copytree(made[0], tmp_path / "project", symlinks=True))
    monkeypatch.chdir(root)
    for node in made[1].values():
        edit_run(root, node, host="here", peak_memory_bytes=2_000_000)
    compiled = {"compile_s": 900.0, "was_loaded": False, "programs": ["p"], "steady_s": {"step": 0.25}}
    edit_run(root, made[1]["denoise"], **compiled)
    return root


def record(root: Path, seed: int, **facts: object) -> None:
    """One more denoise of the same kind, with facts of its own."""
    facts_of_first = load_build(root, {}).store.folder(demo(root)["denoise"].artifact) / "run.json"
    node = make(root, denoise_seed=str(seed))["denoise"]
    (load_build(root, {}).store.folder(node.artifact) / "run.json").write_text(
        json.dumps(json.loads(facts_of_first.read_text()) | facts)
    )


def demo(root: Path) -> dict[str, Node]:
    return dict(load_build(root, {}).graph.videos["demo"])


@pytest.mark.usefixtures("root")
def test_it_is_a_table_of_what_runs_took(capsys: pytest.CaptureFixture[str]):
    assert run_command("timings") == 0
    assert capsys.readouterr().out == (
        "here, cpu\n"
        "stage       size  steps  compiled     first  later  s/step   memory\n"
        "encode                          -  10.0 (1)      -       -  2.00 MB\n"
        "denoise  9x96x96     20  1000 (1)         -      -    0.25  2.00 MB\n"
        "decode   9x96x96                -  50.0 (1)      -       -  2.00 MB\n"
        "export   9x96x96                -  2.00 (1)      -       -  2.00 MB\n"
    )


@pytest.mark.usefixtures("root")
def test_of_named_stages_only_those_are_listed(capsys: pytest.CaptureFixture[str]):
    assert run_command("timings", "export") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["here,", "stage", "export"]


def test_a_run_that_was_slow_among_its_equals_is_marked_and_named(root: Path, capsys: pytest.CaptureFixture[str]):
    for seed in (1, 2, 3, 4):
        record(root, seed, number_in_process=seed, job_s=10.0 * seed, wall_s={}, was_loaded=True, compile_s=0.0)
    capsys.readouterr()
    run_command("timings", "denoise")
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == ["denoise  9x96x96     20  1000 (1)  10.0 (1)  30.0 (3)    0.25  2.00 MB"]
    record(root, 5, number_in_process=2, job_s=100.0, wall_s={}, was_loaded=True, compile_s=0.0)
    capsys.readouterr()
    run_command("timings", "denoise")
    row, slow = capsys.readouterr().out.splitlines()[2:]
    assert row.startswith("denoise *  9x96x96     20 ")
    assert slow.startswith("* denoise:")
    assert " took 1 min 40 s, 2.9 times the median of its equals (started 20" in slow


def test_rows_of_one_stage_and_size_say_what_they_differ_in(root: Path, capsys: pytest.CaptureFixture[str]):
    node = make(root, export_codec="av1")["export"]
    first = load_build(root, {}).store.folder(demo(root)["export"].artifact) / "run.json"
    shutil.copy(first, load_build(root, {}).store.folder(node.artifact) / "run.json")
    capsys.readouterr()
    run_command("timings", "export")
    rows = capsys.readouterr().out.splitlines()[2:]
    assert sorted(row.split()[1] for row in rows) == ["codec=av1", "codec=h264"]


def test_another_machine_has_a_table_of_its_own(root: Path, capsys: pytest.CaptureFixture[str]):
    mesh = {"cfg": 2, "sequence": 1, "heads": 4}
    edit_run(root, demo(root)["denoise"], host="slice", device="TPU v6 lite", mesh=mesh)
    run_command("timings")
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if ", " in line] == ["here, cpu", "slice, 8 x TPU v6 lite"]


@pytest.mark.usefixtures("root")
def test_as_json_there_is_a_row_for_each(capsys: pytest.CaptureFixture[str]):
    assert run_command("timings", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["timings"]
    assert [(row["stage"], row["compiled"]["runs"], row["first"]["runs"]) for row in rows] == [
        ("encode", 0, 1),
        ("denoise", 1, 0),
        ("decode", 0, 1),
        ("export", 0, 1),
    ]


def test_of_an_empty_store_it_says_so(root: Path, capsys: pytest.CaptureFixture[str]):
    shutil.rmtree(root / "artifacts")
    assert run_command("timings") == 0
    assert capsys.readouterr().out == "nothing has been made yet, as far as the store says.\n"


@pytest.mark.usefixtures("root")
def test_a_name_that_is_no_stage_is_an_error(capsys: pytest.CaptureFixture[str]):
    assert run_command("timings", "denois") == 1
    assert capsys.readouterr() == (
        "",
        "ParamsError: doit timings: denois: no such stage. Did you mean `denoise`? There is encode, denoise, decode, "
        "export.\n",
    )
