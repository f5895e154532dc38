"""The values of a plan."""

import pytest

from stages.explain.plan import Explanation, Step
from stages.history.expectation import Expectation
from stages.store.verdict import Reason
from tests.builders import build_node

STEP = Step(
    build_node("denoise"),
    ("demo", "other"),
    "run",
    (Reason("denoise.seed", 1, 2),),
    Expectation(1.23456, "2 equal runs"),
)


def test_the_json_of_a_step_is_an_interface():
    assert STEP.to_json() == {
        "stage": "denoise",
        "key": STEP.node.key,
        "videos": ["demo", "other"],
        "verdict": "run",
        "runs": True,
        "reasons": [{"field": "denoise.seed", "before": 1, "now": 2}],
        "expected_s": 1.235,
        "expected_from": "2 equal runs",
    }


@pytest.mark.parametrize(
    ("outcome", "runs"), [("run", True), ("fresh", False), ("remote", False), ("fetch", False), ("waits", None)]
)
def test_whether_a_step_runs_follows_from_what_becomes_of_it(outcome, runs):
    step = Step(STEP.node, (), outcome)
    assert step.to_json()["runs"] is runs
    plan = Explanation((STEP, step), (), {}, 0.0, 0, {}, ())
    assert step in plan.of_outcome(outcome)
