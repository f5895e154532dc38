"""What the store says of a node."""

import pytest

from stages.store.verdict import Reason, State, Verdict


@pytest.mark.parametrize(
    ("state", "is_fresh"),
    [("fresh", True), ("absent", False), ("stale", False), ("forgotten", False), ("corrupt", False)],
)
def test_only_a_fresh_node_needs_no_run(state: State, is_fresh: bool):
    assert Verdict(state).is_fresh == is_fresh


def test_verdicts_with_equal_reasons_are_equal():
    assert Verdict("stale", (Reason("code", "a", "b"),)) == Verdict("stale", (Reason("code", "a", "b"),))
    assert Verdict("stale", (Reason("code", "a", "b"),)) != Verdict("stale", (Reason("code", "a", "c"),))
