"""Which program makes a node, and what it needs."""

from pathlib import Path

import pytest

from stages.keys import Node
from stages.pipeline import programs
from stages.pipeline.contract import PREFLIGHT
from stages.pipeline.programs import DEVICE_OF, INSTALL_FORK, PROGRAMS, explain_missing, program_of


@pytest.mark.parametrize(
    ("stage", "parameters", "program"),
    [
        ("denoise", {}, "denoise"),
        ("denoise", {"from_file": "0" * 32}, "from_file"),
        ("decode", {"decoder": "native"}, "decode"),
        ("decode", {"decoder": "diffusers"}, "diffusers_decode"),
        ("decode", {"decoder": "diffusers-tpu"}, "diffusers_decode"),
    ],
)
def test_a_node_is_made_by_its_stage_or_by_what_takes_the_stages_place(
    stage: str, parameters: dict[str, str], program: str
):
    assert program_of(Node(stage, parameters, {}, {})) == program


def test_each_program_is_there_and_has_a_device():
    assert set(DEVICE_OF) == {*PROGRAMS, PREFLIGHT}
    for program in DEVICE_OF:
        assert (Path(programs.__file__).parents[1] / program / "__main__.py").is_file()


@pytest.mark.parametrize("decoder", ["diffusers-tpu", "diffusers-tpu-framewise"])
@pytest.mark.parametrize(("has_vae", "flax"), [(False, object()), (True, None)])
def test_a_fork_that_is_not_installed_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, decoder: str, has_vae: bool, flax: object
):
    monkeypatch.setattr(programs, "_has_flax_vae", lambda: has_vae)
    monkeypatch.setattr(programs, "find_spec", {"flax": flax}.get)
    assert explain_missing(Node("decode", {"decoder": decoder}, {}, {})) == (
        f'decode.decoder = "{decoder}": the fork diffusers-tpu is not installed. Install it in place of diffusers: '
        f"{INSTALL_FORK}\n  docs/diffusers-tpu.md says more. The other decoders need no such thing."
    )


@pytest.mark.parametrize("parameters", [{}, {"decoder": "native"}, {"decoder": "diffusers"}])
def test_other_nodes_need_no_fork(monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str]):
    monkeypatch.setattr(programs, "_has_flax_vae", lambda: False)
    assert explain_missing(Node("decode", parameters, {}, {})) is None


def test_the_command_that_installs_the_fork_is_that_of_the_page():
    assert INSTALL_FORK in (Path(__file__).parents[2] / "docs" / "diffusers-tpu.md").read_text()
