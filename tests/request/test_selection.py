"""Names that people type, and the nodes that they mean."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from stages.errors import ParamsError
from stages.request.graph import Graph
from stages.request.selection import match_names, select_nodes
from stages.run.loading import load_build
from tests.builders import PIPELINE
from tests.project import copy_params
from tests.request.sweeps import write_sweep


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """Two videos that share all but the export, and one that cannot be made."""
    root = copy_params(tmp_path_factory.mktemp("project"))
    demo = (root / "params/videos/demo.toml").read_text(encoding="utf-8")
    (root / "params/videos/slow.toml").write_text(demo.replace("fps = 8", "fps = 4"), encoding="utf-8")
    (root / "params/videos/harbour.toml").write_text("[denoise]\nsed = 1\n")
    return load_build(root, {}).graph


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A sweep of two videos, besides the shipped one."""
    root = copy_params(tmp_path_factory.mktemp("swept"))
    write_sweep(root, "denoise.seed = [1, 2]\n")
    return load_build(root, {}).graph


@pytest.mark.parametrize(
    ("names", "named"),
    [
        ([], []),
        (["demo"], []),
        (["denoise", "demo"], ["denoise"]),
        (["de*:*"], ["denoise", "decode"]),
        (["e*"], ["encode", "export", "export"]),
        (["code:*"], []),
    ],
)
def test_a_node_itself_is_named_by_its_stage_and_by_patterns_and_not_by_its_video(
    graph: Graph, names: list[str], named: list[str]
):
    is_named = match_names(names)
    assert [node.stage for node in graph.all_nodes() if is_named(node)] == named
    assert all(match_names([node.title])(node) for node in graph.all_nodes())


def test_a_sweep_means_the_nodes_of_its_videos(swept: Graph):
    assert select_nodes(swept, ["harbour"]) == select_nodes(swept, ["harbour-1", "harbour-2"])
    assert stages(swept, "harbour") == ["encode", *["denoise"] * 2, *["decode"] * 2, *["export"] * 2]


def test_of_a_sweep_of_which_a_video_cannot_be_made_its_reason_is_given(tmp_path: Path):
    write_sweep(copy_params(tmp_path), "denoise.seed = [1, -1]\n")
    graph = load_build(tmp_path, {}).graph
    with pytest.raises(ParamsError) as error:
        select_nodes(graph, ["harbour"])
    assert error.value is graph.faults["harbour-2"]


def stages(graph: Graph, *names: str) -> list[str]:
    return [node.stage for node in select_nodes(graph, names)]


ONE_EACH = list(PIPELINE.names)
ALL = [*ONE_EACH, "export"]


def test_no_name_means_all_nodes_in_their_order(graph: Graph):
    assert stages(graph) == ALL


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["demo"], ONE_EACH),
        (["demo", "slow"], ALL),
        (["demo", "decode", "demo"], ONE_EACH),
        (["decode", "encode"], ["encode", "decode"]),
        (["export"], ["export", "export"]),
        (["export:*"], ["export", "export"]),
        (["de*"], ALL[:4]),
        (["*"], ALL),
    ],
)
def test_videos_stages_and_patterns_mean_their_nodes(graph: Graph, names: Sequence[str], found: list[str]):
    assert stages(graph, *names) == found


def test_a_node_is_meant_by_its_title(graph: Graph):
    node = graph.videos["slow"]["export"]
    assert select_nodes(graph, [node.title]) == [node]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("demmo", "demmo: no such task. Did you mean `demo`? `doit list --all` names all."),
        ("decode:0123", "decode:0123: no such task. Did you mean `decode`? `doit list --all` names all."),
        ("x*", "x*: matches no task. `doit list --all` names all there are."),
    ],
)
def test_a_name_that_is_nobodys_is_an_error(graph: Graph, name: str, message: str):
    with pytest.raises(ParamsError) as error:
        select_nodes(graph, ["demo", name])
    assert str(error.value) == message


def test_of_a_video_that_cannot_be_made_the_reason_is_given(graph: Graph):
    with pytest.raises(ParamsError) as error:
        select_nodes(graph, ["harbour"])
    assert error.value is graph.faults["harbour"]
