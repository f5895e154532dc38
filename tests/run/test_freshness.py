"""What is as needed, and how that is said."""

from pathlib import Path

import pytest

from tests.project import copy_params
from tests.run.fakes import fake_build


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_a_verdict_and_its_words_come_from_the_store(root: Path):
    build, store, _ = fake_build(root, {})
    node = build.graph.videos["demo"]["encode"]
    freshness = build.freshness.of_node(node, build.demand())
    assert repr(freshness) == f"the store: {node.title} is absent"
    store.fresh.add(node.artifact)
    assert freshness()


def test_a_run_that_makes_nothing_asks_the_store_once_per_node_and_another_one_again(root: Path):
    build, store, _ = fake_build(root, {})
    nodes = build.graph.videos["demo"].values()
    store.fresh |= {node.artifact for node in nodes}
    names = [node.title for node in nodes]
    assert build.check(names, build.demand()) == ({}, names)
    store.fresh.clear()
    assert all(build.freshness.of_node(node, build.demand())() for node in nodes)  # as it was when the run began
    build, store, _ = fake_build(root, {})
    build.check(names, build.demand())
    store.fresh |= {node.artifact for node in nodes}
    assert all(build.freshness.of_node(node, build.demand())() for node in nodes)
    store.fresh.clear()
    assert not any(build.freshness.of_node(node, build.demand())() for node in nodes)
