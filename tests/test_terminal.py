"""A run as it is seen on a terminal: the board while it lasts, then what was made, what failed and what was saved."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.known_files import know_package
from tests.project import DOIT, copy_project, environment
from tests.terminal import plain, run_on_terminal, seen

pytestmark = pytest.mark.processes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose videos have files in place of denoises; that of `b` is none."""
    root = know_package(copy_project(tmp_path))
    (root / "params/videos/demo.toml").unlink()
    for number, name in enumerate("abc", 1):
        latents = np.zeros((1, 32, number, 2, 2), np.float32)
        save_file({"latent" if name == "b" else "latents": latents}, root / f"{name}.safetensors")
        (root / f"params/videos/{name}.toml").write_text(f'[denoise]\nfrom_file = "{name}.safetensors"\n')
    return root


def run(root: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    without = {name: text for name, text in environment().items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return run_on_terminal([*DOIT, *arguments], cwd=root, variables=without | {"TERM": "xterm"} | variables)


def test_a_run_in_which_one_video_fails_is_a_board_and_then_a_summary(root: Path):
    code, written = run(root, "--continue", "denoise")
    assert code == 1
    board = r" +denoise\n  done +0\n  running +0\n  left +3\n  denoise a  0:00:00  waiting\n  0:00:00 so far, "
    assert re.search(board, plain(written))
    assert "\x1b[?" not in written  # no other screen, and the cursor stays
    lines = seen(written).splitlines()
    at = lines.index("failed:")
    assert re.fullmatch(r"denoise:\w{12}  a  made in \d\.\d s", lines[0])
    assert lines[1].startswith(f"ContractError: {root}/b.safetensors: does not hold latents: ")
    assert re.fullmatch(r"made 2 denoises in \d+(\.\d)? s; 1 denoise failed", lines[at - 1])
    assert lines[at + 1].startswith("  b: denoise:")
    assert lines[at + 2 :] == ["When that is fixed, `doit b` makes what is left."]


def test_nothing_of_the_board_is_left(root: Path):
    _, written = run(root, "--continue", "denoise")
    assert "so far" in written
    assert not re.search("so far|running|left$", seen(written), re.MULTILINE)


def test_who_asks_for_no_colours_gets_lines_and_the_summary(root: Path):
    code, written = run(root, "--continue", "denoise", NO_COLOR="1")
    assert code == 1
    assert "\x1b" not in written
    assert re.search(r"denoise:\w+  a  \(absent\)\r\ndenoise:\w+  made in .*made 2 denoises in ", written, re.DOTALL)


def test_a_quiet_run_draws_nothing(root: Path):
    code, written = run(root, "-v", "1", "denoise:*", "--continue")
    assert code == 1
    assert "\x1b" not in written
    assert "made" not in written.partition("failed:")[0].replace("ContractError", "")
