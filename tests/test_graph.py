"""From parameters to nodes."""

import shutil
from pathlib import Path

import pytest

from stages.graph import Graph, build_graph
from stages.params import load_params
from stages.stat_cache import StatCache

PROJECT = Path(__file__).parent.parent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "params", tmp_path / "params")
    return tmp_path


def graph(root: Path, **overrides: str) -> Graph:
    params = load_params(root, {name.replace("__", "."): text for name, text in overrides.items()})
    return build_graph(params, root, StatCache(root / "cache.json"))


def changed_stages(root: Path, **overrides: str) -> set[str]:
    before, after = graph(root).videos["demo"], graph(root, **overrides).videos["demo"]
    return {stage for stage in before if before[stage].key != after[stage].key}


@pytest.mark.parametrize(
    ("name", "text", "stages"),
    [
        ("export__fps", "7", {"export"}),
        ("export__crf", "30", {"export"}),
        ("decode__enable_tiling", "true", {"decode", "export"}),
        ("decode__dtype", "bfloat16", {"decode", "export"}),
        ("denoise__seed", "5", {"denoise", "decode", "export"}),
        ("denoise__flow_shift", "2.5", {"denoise", "decode", "export"}),
        ("encode__prompt", "x", {"encode", "denoise", "decode", "export"}),
        ("encode__negative_prompt", "x", {"encode", "denoise", "decode", "export"}),
        ("machine__platform", "cpu", set()),
        ("machine__mesh", "1x1x1", set()),
    ],
)
def test_a_parameter_counts_from_the_first_stage_that_reads_it(root: Path, name: str, text: str, stages: set[str]):
    assert changed_stages(root, **{name: text}) == stages


def test_a_component_counts_from_the_stage_that_reads_it(root: Path, tmp_path: Path):
    model = tmp_path / "model"
    shutil.copytree(PROJECT / "stages/builtin/shapes", model)
    before = graph(root, model__checkpoint=str(model)).videos["demo"]
    assert before == graph(root).videos["demo"]  # a copy of the checkpoint is the same checkpoint
    (model / "vae" / "config.json").write_text("{}")
    after = graph(root, model__checkpoint=str(model)).videos["demo"]
    assert {stage for stage in before if before[stage].key != after[stage].key} == {"decode", "export"}


def test_videos_share_the_nodes_in_which_they_agree(root: Path):
    other = (root / "params/videos/demo.toml").read_text().replace("[denoise]", "[denoise]\nseed = 5")
    (root / "params/videos/other.toml").write_text(other)
    both = graph(root)
    assert {stage: len(both.nodes(stage)) for stage in ("encode", "denoise", "export")} == {
        "encode": 1, "denoise": 2, "export": 2,
    }  # fmt: skip
    (encode,) = both.nodes("encode").values()
    assert both.videos_of(encode) == ("demo", "other")


def test_reformatted_parameter_files_give_the_same_nodes(root: Path):
    before = graph(root).videos
    path = root / "params/videos/demo.toml"
    lines = path.read_text().replace("guidance_scale = ", "guidance_scale=   ")
    path.write_text("# new\n" + lines)
    assert graph(root).videos == before
