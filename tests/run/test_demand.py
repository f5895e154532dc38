"""Which nodes of a run are to be made, of those that were collected above all."""

import pytest

from stages.keys import Node
from stages.pipeline.stages import Pipeline
from stages.request.graph import Graph
from stages.run.demand import Demand
from stages.store.verdict import State, Verdict
from tests.project import ALL


def build_video(fps: int) -> dict[str, Node]:
    """A chain whose stages but the last do not depend on the argument."""
    nodes: dict[str, Node] = {}
    inputs: dict[str, str] = {}
    for stage in ALL:
        nodes[stage] = Node(stage, {"decode": {"decoder": "native"}, "export": {"fps": fps}}.get(stage, {}), {}, inputs)
        inputs = {stage: nodes[stage].key}
    return nodes


DEMO, SLOW = build_video(8), build_video(4)
GRAPH = Graph(Pipeline(), {"demo": DEMO, "slow": SLOW}, {}, {})
TITLES = [node.title for node in GRAPH.all_nodes()]


def build_demand(*states: tuple[Node, State], is_always: bool = False) -> Demand:
    """Of a store in which all nodes are fresh but these."""
    by_key = {node.key: state for node, state in states}
    return Demand(GRAPH, lambda node: Verdict(by_key.get(node.key, "fresh")), is_always=is_always)


@pytest.mark.parametrize("state", ["absent", "stale", "forgotten", "corrupt"])
def test_what_is_not_fresh_is_due(state: State):
    assert build_demand((DEMO["denoise"], state)).is_due(DEMO["denoise"])


def test_what_is_fresh_is_due_only_if_everything_is_made_again():
    assert not build_demand().is_due(DEMO["denoise"])
    assert build_demand(is_always=True).is_due(DEMO["denoise"])


def test_a_collected_artifact_is_not_due_while_all_that_was_made_from_it_is_fresh():
    assert not build_demand((DEMO["decode"], "collected")).is_due(DEMO["decode"])


def test_a_collected_artifact_is_due_when_one_that_reads_it_is():
    demand = build_demand((DEMO["decode"], "collected"), (SLOW["export"], "absent"))
    assert demand.is_due(DEMO["decode"])
    assert not demand.is_due(DEMO["denoise"])


def test_of_a_chain_of_collected_artifacts_all_are_due_that_it_takes():
    demand = build_demand(
        (DEMO["denoise"], "collected"),
        (DEMO["decode"], "collected"),
        (DEMO["export"], "stale"),
    )
    assert [stage for stage in ALL if demand.is_due(DEMO[stage])] == ["denoise", "decode", "export"]


def test_what_reads_a_collected_artifact_counts_only_if_it_is_part_of_the_run():
    demand = build_demand((DEMO["decode"], "collected"), (SLOW["export"], "absent"))
    demand.select([title for title in TITLES if title != SLOW["export"].title])
    assert not demand.is_due(DEMO["decode"])


@pytest.mark.parametrize("name", ["decode", DEMO["decode"].title, "decode:*", "*"])
def test_a_collected_artifact_is_due_when_it_was_named(name: str):
    demand = build_demand((DEMO["decode"], "collected"))
    demand.select(TITLES, ["encode", name])
    assert demand.is_due(DEMO["decode"])


def test_naming_a_video_does_not_make_what_it_is_made_of_due():
    demand = build_demand((DEMO["decode"], "collected"))
    demand.select(TITLES, ["demo"])
    assert not demand.is_due(DEMO["decode"])


def test_a_collected_video_is_due_because_people_look_at_it():
    assert build_demand((DEMO["export"], "collected")).is_due(DEMO["export"])


def test_of_a_run_of_fewer_nodes_only_their_readers_count():
    demand = build_demand((DEMO["decode"], "collected"), (SLOW["export"], "absent"))
    assert not demand.is_due(DEMO["decode"], {node.title for node in DEMO.values()})
    assert demand.is_due(DEMO["decode"], {node.title for node in SLOW.values()})


def test_what_is_no_longer_part_of_the_run_does_not_count():
    demand = build_demand((DEMO["decode"], "collected"), (SLOW["export"], "absent"))
    demand.select(TITLES)
    demand.keep([node.title for node in DEMO.values()])
    assert not demand.is_due(DEMO["decode"])


def test_what_was_named_stays_named_when_less_is_left_of_the_run():
    demand = build_demand((DEMO["decode"], "collected"))
    demand.select(TITLES, ["decode"])
    demand.keep([node.title for node in DEMO.values()])
    assert demand.is_due(DEMO["decode"])


def test_of_what_is_due_the_verdict_is_given_and_of_what_is_not_none():
    demand = build_demand((DEMO["denoise"], "stale"))
    assert demand.find_due(DEMO["denoise"]) == Verdict("stale")
    assert demand.find_due(DEMO["encode"]) is None
    assert build_demand(is_always=True).find_due(DEMO["encode"]) == Verdict("fresh")


def build_remote_demand(*remote: str, takes_all: bool = False, is_always: bool = False, **states: State) -> Demand:
    """Of a store in which the stages of `demo` have these states, and a remote store that has the named ones."""
    by_key = {DEMO[stage].key: state for stage, state in states.items()}
    there = {DEMO[stage].key for stage in remote}
    return Demand(
        Graph(Pipeline(), {"demo": DEMO}, {}, {}),
        lambda node: Verdict(by_key.get(node.key, "fresh")),
        takes_all=takes_all,
        is_always=is_always,
        can_fetch=lambda node: node.key in there,
    )


def due_of(demand: Demand) -> list[str]:
    return [stage for stage in ALL if demand.is_due(DEMO[stage])]


def test_a_remote_video_is_due_and_nothing_that_it_was_made_from():
    demand = build_remote_demand(*ALL, encode="remote", denoise="remote", decode="remote", export="remote")
    assert due_of(demand) == ["export"]
    assert demand.is_fetched(DEMO["export"])
    assert demand.find_due(DEMO["export"]) == Verdict("remote")


def test_who_makes_a_video_has_what_it_reads_fetched_and_no_more():
    demand = build_remote_demand("encode", "denoise", "decode", denoise="remote", decode="remote", export="absent")
    assert due_of(demand) == ["decode", "export"]
    assert [demand.is_fetched(DEMO[stage]) for stage in ("decode", "export")] == [True, False]


def test_a_collected_video_that_can_be_fetched_asks_nothing_of_what_it_was_made_from():
    demand = build_remote_demand("export", decode="collected", export="collected")
    assert due_of(demand) == ["export"]
    assert demand.find_due(DEMO["export"]) == Verdict("remote")


def test_with_all_everything_that_can_be_fetched_is_due():
    demand = build_remote_demand("denoise", "decode", takes_all=True, encode="collected", denoise="collected")
    assert due_of(demand) == ["denoise"]


def test_where_everything_is_made_again_nothing_is_fetched():
    demand = build_remote_demand(*ALL, is_always=True, export="remote")
    assert not demand.is_fetched(DEMO["export"])
    assert due_of(demand) == ALL


def test_what_a_fleet_reads_where_it_is_is_not_fetched():
    states: dict[str, State] = {DEMO["decode"].key: "collected", DEMO["export"].key: "absent"}
    demand = Demand(
        GRAPH,
        lambda node: Verdict(states.get(node.key, "fresh")),
        can_fetch=lambda node: node == DEMO["decode"],
        is_read_elsewhere=True,
    )
    assert not demand.is_due(DEMO["decode"])
    assert demand.is_due(DEMO["export"])
    demand.select(TITLES, ["decode"])
    assert demand.is_due(DEMO["decode"])  # somebody has named it
