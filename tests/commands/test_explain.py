"""`doit explain`: the whole text after edits of each kind. The shipped video was made, in seconds that are known."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from stages.keys import Digest, Node
from stages.store.artifacts import Store
from stages.store.manifest import MANIFEST, RUN, Manifest
from stages.tensors.files import write_tensors
from tests.builders import collect, files_below
from tests.commands.explained_project import build_made, edit_run, edit_video, without_keys
from tests.commands.store_commands import run_command
from tests.project import copy_checkpoint

Edit: TypeAlias = Callable[[Path, dict[str, Node]], None]
HEADING = 'demo: "A red circle moves to the right."\n'
ENCODE = "  encode   fresh\n"
DENOISE = "  denoise  fresh\n"
MADE_FROM_DENOISE = "  decode   run            about 50 s    498 kB\n    made from another denoise\n"
MADE_FROM_DECODE = "  export   run           about 2.0 s     480 B\n    made from another decode\n"
WAIT_FOR_DENOISE = """\
  decode   waits          about 50 s    498 kB
    runs unless denoise comes out with the same bytes
  export   waits         about 2.0 s     480 B
    runs unless decode comes out with the same bytes

1 to run, 2 waiting, 1 fresh
to run: about 16 min 40 s, 13.8 kB written
with those that wait: about 17 min 32 s, 512 kB written
saved by the store: 10 s (1 artifact)
"""
FROM_DENOISE_ON = """
3 to run, 1 fresh
to run: about 17 min 32 s, 512 kB written
saved by the store: 10 s (1 artifact)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Node]]:
    root = tmp_path_factory.mktemp("made")
    return root, build_made(root)


@pytest.fixture
def nodes(made: tuple[Path, dict[str, Node]]) -> dict[str, Node]:
    return made[1]


@pytest.fixture
def root(made: tuple[Path, dict[str, Node]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of its own of that project, which is the working folder."""
    root = Path(shutil.copytree(made[0], tmp_path / "project", symlinks=True))
    monkeypatch.chdir(root)
    return root


def explain(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What it prints, without the keys at the ends of its lines."""
    assert run_command("explain", *arguments) == code
    output, error = capsys.readouterr()
    assert bool(error) == bool(code)
    return without_keys(output or error)


def in_file(old: str, new: str) -> Edit:
    return lambda root, _nodes: edit_video(root, old, new)


def forget(root: Path, nodes: dict[str, Node]) -> None:
    Store(root / "artifacts").forget(nodes["denoise"].artifact)


def remove(root: Path, nodes: dict[str, Node]) -> None:
    Store(root / "artifacts").remove(nodes["decode"].artifact)


def damage(root: Path, nodes: dict[str, Node]) -> None:
    Store(root / "artifacts").payload(nodes["denoise"].artifact).write_bytes(b"short")


def change_code(root: Path, nodes: dict[str, Node]) -> None:
    """As if one file had had another content when the latents were made, and another had been there."""
    folder = Store(root / "artifacts").folder(nodes["denoise"].artifact)
    sources = json.loads((folder / RUN).read_text())["sources"]
    assert "stages.denoise.attention.splash" in sources
    then = {**sources, "stages.denoise.attention.splash": "0" * 12, "stages.denoise.gone": "0" * 12}
    edit_run(root, nodes["denoise"], sources=then)
    manifest = Manifest.from_json((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(replace(manifest, code=Digest("0" * 32)).to_json())


def change_code_of_unknown_files(root: Path, nodes: dict[str, Node]) -> None:
    """The same, of an artifact that was made before run.json named files."""
    change_code(root, nodes)
    edit_run(root, nodes["denoise"], sources=None)


def take_another_vae(root: Path, _nodes: dict[str, Node]) -> None:
    config = copy_checkpoint(root / "model", "vae") / "vae/config.json"
    config.write_text(config.read_text().replace("{", "{ ", 1))
    with (root / "params/model.toml").open("a") as file:
        file.write('vae = "model"\n')  # below [components], with which it ends


def take_latents_from_a_file(root: Path, _nodes: dict[str, Node]) -> None:
    write_tensors(root / "latents.safetensors", {"latents": np.zeros((1, 32, 3, 6, 6), np.float32)})
    edit_video(root, "[denoise]", '[denoise]\nfrom_file = "latents.safetensors"')


def add_a_video(root: Path, _nodes: dict[str, Node]) -> None:
    text = (root / "params/videos/demo.toml").read_text()
    (root / "params/videos/harbour.toml").write_text(text.replace("A red circle", "A blue boat"))


def collect_frames(root: Path, nodes: dict[str, Node]) -> None:
    collect(Store(root / "artifacts"), nodes["decode"])
    edit_video(root, "fps = 8", "fps = 12")


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (
            in_file("guidance_scale = 3.0", "guidance_scale = 7.5"),
            f"{HEADING}{ENCODE}  denoise  run     about 16 min 40 s   13.8 kB\n    guidance_scale 3.0 -> 7.5\n"
            f"{MADE_FROM_DENOISE}{MADE_FROM_DECODE}{FROM_DENOISE_ON}",
        ),
        (
            in_file("A red circle moves to the right.", "A red square moves to the left."),
            'demo: "A red square moves to the left."\n'
            "  encode   run            about 10 s    555 kB\n"
            "    prompt: A red [circle -> square] moves to the [right. -> left.]\n"
            "  denoise  run     about 16 min 40 s   13.8 kB\n    made from another encode\n"
            f"{MADE_FROM_DENOISE}{MADE_FROM_DECODE}\n4 to run\nto run: about 17 min 42 s, 1.07 MB written\n",
        ),
        (
            in_file("num_inference_steps = 20", "num_inference_steps = 40\nseed = 7"),
            f"{HEADING}{ENCODE}  denoise  run     about 33 min 20 s   13.8 kB\n"
            "    num_inference_steps 20 -> 40\n    seed 42 -> 7\n"
            f"{MADE_FROM_DENOISE}{MADE_FROM_DECODE}\n3 to run, 1 fresh\n"
            "to run: about 34 min 12 s, 512 kB written\nsaved by the store: 10 s (1 artifact)\n",
        ),
        (
            in_file("[decode]\n", "[decode]\nenable_tiling = true\n"),
            f"{HEADING}{ENCODE}{DENOISE}  decode   run          time unknown    498 kB\n"
            "    enable_tiling false -> true\n    tile_size unset -> 256\n    tile_overlap unset -> 0.25\n"
            f"{MADE_FROM_DECODE}\n2 to run, 2 fresh\n"
            "to run: about 2.0 s, and an unknown time for 1 without an earlier run to go by,\n  498 kB written\n"
            "saved by the store: 16 min 50 s (2 artifacts)\n",
        ),
        (
            in_file("fps = 8", "fps = 12"),
            f"{HEADING}{ENCODE}{DENOISE}  decode   fresh\n  export   run           about 2.0 s     480 B\n"
            "    fps 8 -> 12\n\n1 to run, 3 fresh\nto run: about 2.0 s, 480 B written\n"
            "saved by the store: 17 min 40 s (3 artifacts)\n",
        ),
        (
            forget,
            f"{HEADING}{ENCODE}  denoise  run     about 16 min 40 s   13.8 kB\n"
            f"    forgotten, by `doit forget` or because it was found damaged\n{WAIT_FOR_DENOISE}",
        ),
        (
            damage,
            f"{HEADING}{ENCODE}  denoise  run     about 16 min 40 s   13.8 kB\n"
            f"    damaged: 5 bytes, and there were 96\n{WAIT_FOR_DENOISE}",
        ),
        (
            change_code,
            f"{HEADING}{ENCODE}  denoise  run     about 16 min 40 s   13.8 kB\n"
            f"    denoise/attention/splash.py changed\n    denoise/gone.py is gone\n{WAIT_FOR_DENOISE}",
        ),
        (
            change_code_of_unknown_files,
            f"{HEADING}{ENCODE}  denoise  run     about 16 min 40 s   13.8 kB\n"
            f"    the code of denoise changed\n{WAIT_FOR_DENOISE}",
        ),
        (
            remove,
            f"{HEADING}{ENCODE}{DENOISE}  decode   run          time unknown    498 kB\n"
            "    removed, after it was made\n  export   waits         about 2.0 s     480 B\n"
            "    runs unless decode comes out with the same bytes\n\n1 to run, 1 waiting, 2 fresh\n"
            "to run: an unknown time for 1 without an earlier run to go by, 498 kB written\n"
            "with those that wait: about 2.0 s, and an unknown time for 1 without an earlier\n"
            "  run to go by, 498 kB written\nsaved by the store: 16 min 50 s (2 artifacts)\n",
        ),
        (
            take_latents_from_a_file,
            "demo:\n  denoise  run          time unknown\n    from_file: a file takes its place\n"
            "  decode   run            about 50 s    100 kB\n    made from another denoise\n"
            f"{MADE_FROM_DECODE}\n3 to run\n"
            "to run: about 52 s, and an unknown time for 1 without an earlier run to go by,\n"
            "  100 kB written and more\n",
        ),
        (
            add_a_video,
            'harbour: "A blue boat moves to the right."\n'
            "  encode   run            about 10 s    555 kB\n    never made\n"
            "  denoise  run     about 16 min 40 s   13.8 kB\n    never made\n"
            "  decode   run            about 50 s    498 kB\n    never made\n"
            "  export   run           about 2.0 s     480 B\n    never made\n"
            "up to date: demo\n\n4 to run, 4 fresh\nto run: about 17 min 42 s, 1.07 MB written\n"
            "saved by the store: 17 min 42 s (4 artifacts)\n",
        ),
        (
            collect_frames,
            f"{HEADING}{ENCODE}{DENOISE}  decode   run            about 50 s    498 kB\n"
            "    deleted by `doit gc`, and needed again\n  export   run           about 2.0 s     480 B\n"
            "    fps 8 -> 12\n\n2 to run, 2 fresh\nto run: about 52 s, 498 kB written\n"
            "saved by the store: 16 min 50 s (2 artifacts)\n",
        ),
    ],
)
def test_after_an_edit_it_says_what_runs_why_and_at_what_cost(
    root: Path, nodes: dict[str, Node], capsys: pytest.CaptureFixture[str], edit: Edit, text: str
):
    edit(root, nodes)
    before = files_below(root / "artifacts")
    assert explain(capsys) == text
    assert files_below(root / "artifacts") == before


def test_of_another_component_it_says_which(root: Path, capsys: pytest.CaptureFixture[str]):
    take_another_vae(root, {})
    lines = explain(capsys).splitlines()
    (line,) = [line for line in lines if "component" in line]
    assert line.startswith("    component vae: ")
    assert lines[3].startswith("  decode   run")


@pytest.mark.usefixtures("root")
def test_after_no_edit_it_says_so(capsys: pytest.CaptureFixture[str]):
    saved = "nothing to run\nsaved by the store: 17 min 42 s (4 artifacts)\n"
    assert explain(capsys) == f"up to date: demo\n{saved}"
    assert explain(capsys, "--all") == f"{HEADING}{ENCODE}{DENOISE}  decode   fresh\n  export   fresh\n{saved}"


def test_a_link_that_is_missing_is_to_be_made(root: Path, capsys: pytest.CaptureFixture[str]):
    (root / "artifacts/videos/demo.mp4").unlink()
    assert "nothing to run\nthe link to be made: demo\n" in explain(capsys)


@pytest.mark.usefixtures("root")
def test_parameters_on_the_command_line_count(capsys: pytest.CaptureFixture[str]):
    assert "    seed 42 -> 7\n" in explain(capsys, "demo", "denoise.seed=7")


@pytest.mark.usefixtures("root")
def test_of_a_stage_only_that_and_what_comes_before_is_said(capsys: pytest.CaptureFixture[str]):
    text = explain(capsys, "decode", "encode.prompt=A blue square stays still.")
    assert [line.split()[0] for line in text.splitlines() if " run " in line] == ["encode", "denoise", "decode"]


def test_as_json_each_node_has_the_fields_that_scripts_read(
    root: Path, nodes: dict[str, Node], capsys: pytest.CaptureFixture[str]
):
    forget(root, nodes)
    found = json.loads(explain(capsys, "--json", "export.fps=12"))
    assert [*found] == ["nodes"]
    encode, denoise, decode, export = found["nodes"]
    assert encode == {
        "stage": "encode",
        "key": nodes["encode"].key,
        "videos": ["demo"],
        "verdict": "fresh",
        "runs": False,
        "reasons": [],
        "expected_s": 0.0,
        "expected_from": "fresh",
    }
    assert denoise["reasons"] == [{"field": "state", "before": "fresh", "now": "forgotten"}]
    assert (denoise["expected_s"], denoise["expected_from"]) == (1000.0, "1 equal run")
    assert (decode["verdict"], decode["runs"]) == ("waits", None)
    assert (export["verdict"], export["runs"]) == ("run", True)
    assert export["reasons"] == [{"field": "export.fps", "before": 8, "now": 12}]


def test_what_is_ignored_is_left_out(root: Path, nodes: dict[str, Node], capsys: pytest.CaptureFixture[str]):
    forget(root, nodes)
    (root / "artifacts/.ignored.json").write_text(json.dumps([nodes["decode"].title]))
    text = explain(capsys)
    assert f"left out by `doit ignore`: {nodes['decode'].title}, export:" in text
    assert "  decode " not in text


def test_a_video_that_cannot_be_made_is_named_and_the_exit_code_is_1(root: Path, capsys: pytest.CaptureFixture[str]):
    (root / "params/videos/harbour.toml").write_text("[denoise\n")
    assert run_command("explain") == 1
    output, error = capsys.readouterr()
    assert output.startswith("up to date: demo\n")
    assert error.startswith("ParamsError: params/videos/harbour.toml: not valid TOML: ")
    assert explain(capsys, "demo").startswith("up to date: demo\n")


def test_an_unknown_name_is_an_error(root: Path, capsys: pytest.CaptureFixture[str]):
    assert root.is_dir()
    assert explain(capsys, "dmeo", code=1) == (
        "ParamsError: dmeo: no such task. Did you mean `demo`? `doit list --all` names all.\n"
    )
