"""What a remote store has of a run's nodes: along the chain, for the present code, and in one listing."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from stages.keys import Digest, Node
from stages.remote.entry import Entry
from stages.run.loading import load_build
from stages.store.artifacts import Store
from stages.store.verdict import NOT_PUSHED, Verdict
from tests.builders import publish
from tests.project import ALL, set_defaults
from tests.remote.s3 import BUCKET, list_requests, point_to
from tests.run.two_machines import Machines, join, load, make_and_push

pytest.importorskip("obstore", reason="the extra `remote` is not installed")


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return join(tmp_path)


def states(root: Path) -> dict[str, str]:
    build, _ = load(root)
    return {stage: build.verdict(node).state for stage, node in build.graph.videos["demo"].items()}


def test_what_another_machine_has_pushed_is_remote_and_what_it_has_not_is_known(machines: Machines):
    make_and_push(machines.one)
    assert states(machines.other) == {
        "encode": "remote",
        "denoise": "remote",
        "decode": "collected",  # frames are not pushed
        "export": "remote",
    }


def test_of_what_is_known_and_was_not_pushed_that_is_the_reason(machines: Machines):
    make_and_push(machines.one)
    build, _ = load(machines.other)
    node = build.graph.videos["demo"]["decode"]
    assert [reason.field for reason in build.verdict(node).reasons] == [NOT_PUSHED]
    assert build.freshness.explain(node, build.verdict(node)) == ("known from the remote store, without its payload")


def test_of_what_is_known_it_is_said_also_where_the_remote_store_is_away_that_it_was_never_here(machines: Machines):
    make_and_push(machines.one)
    build, exchange = load(machines.other)
    nodes = build.graph.videos["demo"]
    exchange.nodes.record(nodes.values())
    again = load_build(machines.other, {"machine.remote": ""})
    for node in nodes.values():
        assert again.freshness.explain(node, again.verdict(node)) == "known from the remote store, without its payload"


def test_what_is_fresh_here_is_not_asked_for(machines: Machines):
    make_and_push(machines.one)
    assert states(machines.one) == dict.fromkeys(ALL, "fresh")
    _, exchange = load(machines.one)
    assert exchange.remote._catalog is None


def test_a_chain_that_is_broken_on_the_remote_store_is_absent_from_there_on(machines: Machines):
    make_and_push(machines.one, ["encode", "decode", "export"])
    assert states(machines.other) == {"encode": "remote", "denoise": "absent", "decode": "absent", "export": "absent"}


def test_a_file_of_another_name_than_its_stage_makes_is_absent(machines: Machines):
    make_and_push(machines.one)
    _, exchange = load(machines.other)
    (name,) = (each for each in exchange.remote.catalog.names() if each.startswith("artifacts/export/"))
    content = exchange.remote.bucket.get(name)
    assert content is not None
    entry = Entry.from_bytes(content)
    exchange.remote.bucket.put(name, replace(entry, manifest=replace(entry.manifest, payload="x.html")).to_bytes())
    assert states(machines.other)["export"] == "absent"


def test_what_other_code_has_made_is_absent(machines: Machines):
    make_and_push(machines.one)
    build, exchange = load(machines.other)
    code = {**build.code, "stages.denoise": Digest("0" * 32)}
    nodes = replace(build, code=code).exchange
    assert nodes is not None
    found = {stage: nodes.judge(node).state for stage, node in build.graph.videos["demo"].items()}
    assert found == {"encode": "remote", "denoise": "absent", "decode": "absent", "export": "absent"}
    assert exchange is not nodes


def test_what_was_forgotten_here_is_not_taken_from_there(machines: Machines):
    nodes = make_and_push(machines.one)
    build, _ = load(machines.one)
    build.store.forget(nodes["denoise"].artifact)
    found = states(machines.one)
    assert (found["encode"], found["denoise"]) == ("fresh", "forgotten")


def test_what_is_damaged_here_is_remote(machines: Machines):
    nodes = make_and_push(machines.one)
    build, _ = load(machines.one)
    build.store.payload(nodes["export"].artifact).write_bytes(b"x")
    assert states(machines.one)["export"] == "remote"


def test_records_of_what_stays_there_make_what_is_made_from_it_fresh(machines: Machines):
    make_and_push(machines.one)
    build, exchange = load(machines.other)
    chain = build.graph.videos["demo"]
    exchange.nodes.record(chain.values())
    local = {stage: exchange.nodes.local(node).state for stage, node in chain.items()}
    assert local == dict.fromkeys(ALL, "collected")


@pytest.mark.parametrize("num_verdicts", [1, 2])
def test_an_artifact_that_another_run_publishes_after_a_verdict_stays(machines: Machines, num_verdicts: int):
    make_and_push(machines.one)
    build, exchange = load(machines.other)
    node, seen = build.graph.videos["demo"]["encode"], list[Verdict]()

    def judge(each: Node) -> Verdict:
        """The word of the store; after so many, another run publishes the artifact."""
        verdict = build.verdict_here(each)
        if each == node:
            seen.append(verdict)
            if len(seen) == num_verdicts:
                publish(exchange.nodes.store, node, b"made by another run", build.code["stages.encode"])
        return verdict

    exchange.begin([node.title])  # which judges, too
    replace(exchange.nodes, local=judge).record([node])
    assert seen[num_verdicts - 1].state == "absent"
    assert exchange.nodes.store.payload(node.artifact).read_bytes() == b"made by another run"


@pytest.mark.processes
def test_a_thousand_videos_that_are_nowhere_are_a_listing_and_not_a_thousand_questions(
    machines: Machines, s3_port: int, monkeypatch: pytest.MonkeyPatch
):
    point_to(monkeypatch, s3_port)
    for root in (machines.one, machines.other):
        set_defaults(root, "machine", remote=f"s3://{BUCKET}/thousand")
    (machines.other / "params/videos/many.toml").write_text(
        '[encode]\nprompt = "x"\n[denoise]\nheight = 96\nwidth = 96\n[sweep]\n"denoise.seed" = "1..1000"\n'
    )
    make_and_push(machines.one)
    before = len(list_requests(s3_port))
    build, exchange = load(machines.other)
    assert len(build.graph.videos) == 1001
    for node in build.graph.all_nodes():
        exchange.judge(node)
    kinds = Counter("list" if "list-type" in line else line.split()[0] for line in list_requests(s3_port)[before:])
    assert kinds == {"list": 2, "GET": len(ALL)}  # two kinds of small objects, and those of `demo`


def test_the_store_of_a_build_with_a_remote_one_is_a_real_one(machines: Machines):
    _, exchange = load(machines.one)
    assert isinstance(exchange.nodes.store, Store)


def test_where_all_is_here_or_known_here_nothing_is_asked(machines: Machines):
    make_and_push(machines.one)
    build, exchange = load(machines.other)
    exchange.nodes.record(build.graph.all_nodes())
    build, exchange = load(machines.other)
    exchange.begin([node.title for node in build.graph.all_nodes()])
    assert states(machines.other) == dict.fromkeys(ALL, "collected")
    assert [exchange.judge(node).state for node in build.graph.all_nodes()] == ["collected"] * 4
    assert exchange.remote._catalog is None
    assert {node.stage: exchange.can_fetch(node) for node in build.graph.all_nodes()} == {
        "encode": True,
        "denoise": True,
        "decode": False,
        "export": True,
    }
