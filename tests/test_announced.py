"""The run that follows `doit explain` makes exactly what was announced, for the reasons announced: random edits.

The project is that of edited_project.py; what a run of doit asks the store, its runs here ask in the same way.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from stages.explain.explanation import explain
from stages.explain.plan import Step
from stages.keys import ArtifactId
from stages.run.build import Build
from stages.store.verdict import Verdict
from tests.builders import collect, publish
from tests.edited_project import EDITS, STAGES, VIDEOS, Project
from tests.project import copy_built, list_made, run_doit, stages_run

DAMAGE = ("payload", "digest", "manifest")


def damage(project: Project, stage: str, content: bytes | None) -> None:
    """Somebody cuts, edits or (None) loses the payload of an artifact."""
    build = project.load()
    for node in build.graph.nodes(stage).values():
        for file in build.store.folder(node.artifact).glob(f"{build.pipeline[stage].makes.payload}"):
            file.unlink() if content is None else file.write_bytes(content)


def collect_payloads(project: Project, stage: str) -> None:
    """As `doit gc` does."""
    build = project.load()
    for node in build.graph.nodes(stage).values():
        if build.verdict(node).is_fresh:
            collect(build.store, node)  # type: ignore[arg-type]


_STAGE = st.sampled_from(STAGES)
_MORE_EDITS: st.SearchStrategy[Callable[[Project], None]] = st.one_of(
    EDITS,
    EDITS,
    st.builds(
        lambda stage, content: lambda project: damage(project, stage, content),
        _STAGE,
        st.sampled_from([b"", b"other", None]),
    ),
    st.builds(lambda stage: lambda project: collect_payloads(project, stage), _STAGE),
)


def run(project: Project, build: Build) -> dict[ArtifactId, Verdict]:
    """Make what is due as a run of doit does, and link the videos; the store's word on each node when it was made."""
    demand, made = build.demand(), dict[ArtifactId, Verdict]()
    demand.select([*(node.title for node in build.graph.all_nodes()), *build.graph.videos])
    for node in build.graph.all_nodes():
        verdict = demand.find_due(node)
        if verdict is not None:
            publish(build.store, node, project.payload(build, node), build.code[build.program_of(node).package])  # type: ignore[arg-type]
            made[node.artifact] = verdict
    for video, chain in build.graph.videos.items():
        build.links.point_to(video, chain[STAGES[-1]].artifact)
    return made


def check_reasons(
    step: Step, verdict: Verdict, before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Any]
) -> None:
    """The reasons of a node that has run are those that the store had for it when its turn came.

    Args:
        step: as it was announced.
        verdict: the store's word on it.
        before: by video, the parameters of the last run; `now` those of the step's video.
    """
    fields = [reason.field for reason in step.reasons]
    for reason in step.reasons:
        if reason.field == "state":
            assert verdict.state == reason.now
        elif reason.field == "code" or reason.field in DAMAGE:
            assert reason.field in [each.field for each in verdict.reasons]
        elif reason.field.startswith("inputs."):
            assert step.outcome == "waits" or reason.field in [each.field for each in verdict.reasons]
        elif reason.field in now:  # a parameter
            assert verdict.state == "absent"
            assert reason.now == now[reason.field]
    changed = [name for name, value in now.items() if name.startswith(f"{step.node.stage}.")]
    if verdict.state == "absent" and "state" not in fields:
        was = before[step.videos[0]]
        assert {name for name in changed if was[name] != now[name]} == {name for name in fields if name in now}


# shrinking would take minutes
@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(history=st.lists(st.lists(_MORE_EDITS, min_size=1, max_size=3), min_size=2, max_size=5))
def test_after_any_edits_the_next_run_makes_what_was_announced_for_the_reasons_announced(
    history: list[list[Callable[[Project], None]]], tmp_path_factory: pytest.TempPathFactory
):
    project = Project(tmp_path_factory.mktemp("project"))
    before: dict[str, dict[str, Any]] = {}
    for edits in ([], *history):
        for edit in edits:
            edit(project)
        build = project.load()
        announced = explain(build, []).steps
        made = run(project, project.load())
        for step in announced:
            artifact = step.node.artifact
            assert step.outcome != "run" or artifact in made
            assert step.outcome != "fresh" or artifact not in made
            if artifact in made:
                check_reasons(step, made[artifact], before, project.chosen[step.videos[0]])
            elif step.outcome == "waits":
                assert build.verdict(step.node).state in ("fresh", "collected")
        assert made.keys() <= {step.node.artifact for step in announced}
        before = {video: dict(project.chosen[video]) for video in VIDEOS}
    assert {step.outcome for step in explain(project.load(), []).steps} == {"fresh"}


@pytest.mark.parametrize("changes_bytes", [True, False])
def test_what_waits_runs_only_if_what_it_reads_comes_out_with_other_bytes(tmp_path: Path, changes_bytes: bool):
    project = Project(tmp_path)
    run(project, project.load())
    project.change_code("stages.denoise", changes_bytes)
    announced = [step.outcome for step in explain(project.load(), []).steps]
    assert announced == ["fresh", "run", "waits", "waits"]
    made = [artifact.stage for artifact in run(project, project.load())]
    assert made == (["denoise", "decode", "export"] if changes_bytes else ["denoise"])


def outcomes(root: Path, *arguments: str) -> dict[str, tuple[str, str]]:
    """By stage, what `doit explain` announces, and what the expected seconds are from."""
    result = run_doit(root, "explain", "--json", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    nodes = json.loads(result.stdout)["nodes"]
    return {node["stage"]: (node["verdict"], node["expected_from"]) for node in nodes}


@pytest.mark.processes
def test_what_waits_does_not_run_when_a_real_run_makes_the_same_bytes(built: Path, tmp_path: Path):
    root = copy_built(built, tmp_path / "project")
    run_doit(root, "forget", "denoise")
    assert outcomes(root) == {
        "encode": ("fresh", "fresh"),
        "denoise": ("run", "1 equal run"),
        "decode": ("waits", "1 equal run"),
        "export": ("waits", "1 equal run"),
    }
    assert [line.split(":")[0] for line in list_made(run_doit(root))] == ["denoise"]
    assert {outcome for outcome, _ in outcomes(root).values()} == {"fresh"}


@pytest.mark.processes
def test_a_real_run_with_other_parameters_makes_what_was_announced(built: Path, tmp_path: Path):
    root = copy_built(built, tmp_path / "project")
    announced = [stage for stage, (outcome, _) in outcomes(root, "export.fps=12").items() if outcome == "run"]
    assert stages_run(root, "export.fps=12") == announced == ["export"]
