"""The plan of a run, with what earlier runs say of it."""

from pathlib import Path

import pytest

from stages.explain.run_plan import add_history
from stages.run.loading import load_build
from stages.run.plan import Plan, PlannedNode
from tests.commands.explained_project import build_made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    build_made(root)
    return root


def plan_of(root: Path, **overrides: str) -> tuple[Plan, dict[str, str]]:
    """The plan of a run of all nodes, and their titles by stage."""
    build = load_build(root, {name.replace("_", ".", 1): text for name, text in overrides.items()})
    nodes = build.graph.all_nodes()
    due = [node for node in nodes if not build.verdict(node).is_fresh]
    basis = Plan(build.pipeline.names, {node.title: PlannedNode(node.stage, node.stage) for node in due})
    titles = {node.stage: node.title for node in nodes}
    return add_history(basis, build, due, [*titles.values()]), titles


def test_what_is_made_again_is_expected_to_take_what_it_took(made: Path):
    plan, titles = plan_of(made, export_crf="20")
    assert [*plan.nodes] == [titles["export"]]
    assert (plan.nodes[titles["export"]].expected_s or 0.0) > 0


def test_what_is_there_is_reused_with_its_bytes_and_the_seconds_that_it_took(made: Path):
    plan, titles = plan_of(made, export_crf="20")
    assert [*plan.reused] == [titles[stage] for stage in ("encode", "denoise", "decode")]
    for title, each in plan.reused.items():
        (payload,) = (made / "artifacts").glob(f"{title.replace(':', '/')}*/*.safetensors")
        assert each.size_bytes == payload.stat().st_size
        assert each.rebuild_s is not None
        assert each.rebuild_s > 0


def test_what_no_earlier_run_is_near_has_no_expectation(made: Path):
    plan, titles = plan_of(made, decode_dtype="bfloat16")
    assert plan.nodes[titles["decode"]].expected_s is None
