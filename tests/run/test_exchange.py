"""What a run exchanges with the remote store: fetched once, checked, and made here where it cannot be."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import Node
from stages.machine.binary_units import MIB
from stages.remote.download import PayloadError
from stages.run.build import Build
from stages.run.checks import Reader
from stages.run.exchange import Exchange
from stages.run.runner import Event
from stages.store.artifacts import Store
from tests.builders import publish
from tests.commands.store_commands import make
from tests.hub_repo import Repo
from tests.hub_server import ask_here, serve
from tests.mounts import mounted
from tests.project import SHAPES, set_defaults
from tests.run.fakes import ignore
from tests.run.two_machines import Machines, join, load, make_and_push

pytest.importorskip("obstore", reason="the extra `remote` is not installed")


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return join(tmp_path)


@pytest.fixture
def pushed(machines: Machines) -> dict[str, Node]:
    return make_and_push(machines.one)


def take(build: Build, exchange: Exchange, node: Node, events: list[Event] | None = None) -> Event | None:
    observe = ignore if events is None else events.append
    return exchange.take(node, build.lease(node, observe), observe)


def test_a_remote_node_is_fetched_with_its_size(machines: Machines, pushed: dict[str, Node]):
    build, exchange = load(machines.other)
    ending = take(build, exchange, pushed["export"])
    size_bytes = (exchange.nodes.store.present_manifest(pushed["export"].artifact)).size_bytes
    assert ending == {"event": "result", "is_same_as_before": None, "fetched_bytes": size_bytes}


def test_how_far_it_is_is_seen(machines: Machines, pushed: dict[str, Node]):
    build, exchange = load(machines.other)
    events: list[Event] = []
    take(build, exchange, pushed["encode"], events)
    phases = [event["name"] for event in events if event["event"] == "phase"]
    assert phases == ["starting", "fetching"]
    assert {event["unit"] for event in events if event["event"] == "progress"} == {"MiB"}


def test_what_another_run_has_fetched_meanwhile_is_not_fetched_again(machines: Machines, pushed: dict[str, Node]):
    build, exchange = load(machines.other)
    exchange.settle([node.title for node in pushed.values()][:-1], build.demand())
    take(build, exchange, pushed["export"])
    assert take(build, exchange, pushed["export"]) == {"event": "result", "is_same_as_before": None, "made_by": ""}


def test_what_is_damaged_there_is_refused(machines: Machines, pushed: dict[str, Node]):
    for file in machines.shared.glob("payloads/*/video.mp4"):
        file.write_bytes(bytes(file.stat().st_size))
    build, exchange = load(machines.other)
    with pytest.raises(PayloadError, match=rf"^file://{machines.shared}: what it has of {pushed['export'].title} is r"):
        take(build, exchange, pushed["export"])
    assert not exchange.remote.fault
    assert build.verdict(pushed["export"]).state == "absent"


def test_a_run_puts_down_what_stays_there_and_fetches_what_it_needs(machines: Machines, pushed: dict[str, Node]):
    build, _ = load(machines.other)
    demand = build.demand()
    titles = [node.title for node in build.graph.all_nodes()]
    demand.select([*titles, "demo"])
    build.check([*titles, "demo"], demand)
    assert [stage for stage, node in pushed.items() if demand.is_due(node)] == ["export"]
    build.run(pushed["export"], ignore)
    assert build.verdict(pushed["export"]).is_fresh
    assert not demand.is_due(pushed["export"])


def test_what_was_made_is_pushed_while_the_run_goes_on(machines: Machines, pushed: dict[str, Node]):
    assert pushed
    assert machines.names("artifacts") == ["denoise", "encode", "export"]
    assert machines.names("records") == ["decode"]


def test_with_all_frames_are_pushed_too(tmp_path: Path):
    machines = join(tmp_path, remote_push="all")
    make_and_push(machines.one)
    assert machines.names("artifacts") == ["decode", "denoise", "encode", "export"]
    assert machines.names("records") == []


@pytest.mark.parametrize("settings", [{"remote_push": "never"}])
def test_a_machine_that_only_reads_pushes_nothing(tmp_path: Path, settings: dict[str, str]):
    machines = join(tmp_path, **settings)
    make_and_push(machines.one)
    assert not list(machines.shared.iterdir())


def test_what_is_gone_before_its_turn_is_not_pushed(machines: Machines, pushed: dict[str, Node]):
    build, exchange = load(machines.one)
    build.store.remove(pushed["export"].artifact)
    exchange.push_later(pushed["export"].artifact)
    assert not exchange.is_pushing


def states(build: Build, nodes: Sequence[Node]) -> list[str]:
    return [build.verdict(node).state for node in nodes]


def check(build: Build, *named: str) -> None:
    """A run of everything, before its first task; what is named is wanted for itself."""
    names = [*(node.title for node in build.graph.all_nodes()), *build.graph.videos]
    demand = build.demand()
    demand.select(names, named)
    build.check(names, demand)


def push_large_video(machines: Machines) -> Node:
    """`demo` on the remote store, with a video of 2 MiB."""
    node, build = make(machines.one)["export"], load(machines.one)[0]
    publish(Store(build.store.root), node, bytes(2 * MIB), build.code["stages.export"])
    return make_and_push(machines.one)["export"]


def test_a_disk_without_room_for_what_is_fetched_is_an_error_before_anything_is(machines: Machines):
    push_large_video(machines)
    with mounted(machines.other / "artifacts", "size=1m"):
        build, _ = load(machines.other)
        with pytest.raises(StoreError, match=r"this run takes at least 2\.00 MiB \(1 x export: 2\.00 MiB\)\."):
            check(build)


def test_what_has_come_of_a_payload_takes_no_more_room(machines: Machines):
    node = push_large_video(machines)
    with mounted(machines.other / "artifacts", "size=3m"):
        build, exchange = load(machines.other)
        assert exchange.bytes_to_fetch(node) == 2 * MIB
        digest = load(machines.one)[1].nodes.store.present_manifest(node.artifact).digest
        gathered = machines.other / "artifacts/.remote" / digest / "payload"
        gathered.parent.mkdir(parents=True)
        gathered.write_bytes(bytes(3 * MIB // 2))
        assert exchange.bytes_to_fetch(node) == MIB // 2
        check(build)


def test_what_is_fetched_needs_no_room_for_its_model(machines: Machines, monkeypatch: pytest.MonkeyPatch):
    for root in (machines.one, machines.other):
        set_defaults(root, "model", checkpoint="org/shapes")
    cache = machines.shared.with_name("hub")
    with serve({"org/shapes": Repo.of_folder(SHAPES)}) as server, mounted(cache, "size=256k"):
        ask_here(server, cache, monkeypatch)
        node = make_and_push(machines.one)["denoise"]
        build, exchange = load(machines.other)
        assert sum(
            Reader().missing_bytes(build.graph.checkpoints["demo"], build.pipeline["denoise"].components).values()
        )
        check(build, node.title)
        exchange.remote.bucket.delete([*exchange.remote.catalog.names()])
        with pytest.raises(StoreError, match="are to be downloaded"):
            check(load(machines.other)[0])


def test_everything_is_fetched_if_asked_for(tmp_path: Path):
    machines = join(tmp_path, remote_push="all", remote_fetch="all")
    nodes = make_and_push(machines.one)
    build, _ = load(machines.other)
    demand = build.demand()
    assert all(demand.is_due(node) and demand.is_fetched(node) for node in nodes.values())
    for node in nodes.values():
        build.run(node, ignore)
    assert states(build, [*nodes.values()]) == ["fresh"] * 4
