"""What a run is about to make."""

import pytest

from stages.run.plan import Plan, PlannedNode


@pytest.mark.parametrize(
    ("seconds", "expected"), [((), None), ((2.0, 3.0), 5.0), ((2.0, None), None), ((0.0,), 0.0), ((None,), None)]
)
def test_a_run_is_expected_to_take_what_its_nodes_take_if_that_is_known_of_all(seconds, expected):
    nodes = {f"denoise:{number}": PlannedNode("denoise", "host", each) for number, each in enumerate(seconds)}
    assert Plan(("denoise",), nodes).expected_s == expected
