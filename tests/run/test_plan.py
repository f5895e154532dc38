"""What a run is about to make."""

from stages.run.plan import Plan, PlannedNode


def test_the_stage_of_a_node_is_known_if_it_is_to_be_made():
    plan = Plan(("denoise",), {"denoise:1": PlannedNode("denoise", "accelerator")})
    assert plan.stage_of("denoise:1") == "denoise"
    assert plan.stage_of("denoise:2") is None
