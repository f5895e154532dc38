"""After any sequence of builds, pins, parameter edits and gc, what is wanted or pinned is there and whole.

The nodes are those of real parameters; instead of their stages, a test publishes bytes that follow from their keys.
"""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stages.keys import ArtifactId, Node, digest_bytes
from stages.pipeline.stages import Pipeline
from stages.request.graph import Graph
from stages.run.demand import Demand
from stages.run.loading import load_build
from stages.store.artifacts import Store
from stages.store.housekeeping import Limits, collect_garbage
from stages.store.inputs import check_inputs
from stages.store.inventory import take_inventory
from stages.store.leases import Leases
from stages.store.pins import Pin, Pins
from stages.store.quantities import Limit
from tests.builders import CODE
from tests.known_files import know_package
from tests.project import copy_params
from tests.store.inventories import DAY, NOW, SECONDS, SIZES, set_age, set_run

NAMES = ("demo", "harbour")
VARIANTS = st.builds(dict, seed=st.sampled_from("12"), fps=st.sampled_from("48"), prompt=st.sampled_from(("a", "b")))
LIMITS = st.sampled_from([
    Limit(size_bytes=0), Limit(size_bytes=600), Limit(size_bytes=2000), Limit(size_bytes=102_000),
    Limit(size_bytes=300_000), Limit(age_s=0.5 * DAY), Limit(age_s=3 * DAY), None,
])  # fmt: skip


def load_chain(overrides: dict[str, str]) -> dict[str, Node]:
    """The nodes of the shipped video with other values."""
    with tempfile.TemporaryDirectory() as root:
        return dict(
            load_build(know_package(copy_params(Path(root))), overrides, is_read_only=True).graph.videos["demo"]
        )


shipped_chain = cache(lambda: load_chain({}))


@cache
def chain_of(seed: str, fps: str, prompt: str) -> dict[str, Node]:
    """As `load_chain` would, from one that was loaded before."""
    changes = {"encode": {"prompt": prompt}, "denoise": {"seed": int(seed)}, "export": {"fps": int(fps)}}
    nodes: dict[str, Node] = {}
    for stage, node in shipped_chain().items():
        inputs = {name: nodes[name].key for name in node.inputs}
        nodes[stage] = replace(node, parameters={**node.parameters, **changes.get(stage, {})}, inputs=inputs)
    return nodes


def test_nodes_are_those_that_are_loaded_with_the_same_values():
    loaded = load_chain({"denoise.seed": "2", "export.fps": "8", "encode.prompt": "b"})
    assert chain_of("2", "8", "b") == loaded


def payload_of(node: Node) -> bytes:
    return (node.key * (SIZES[node.stage] // len(node.key) + 1)).encode()


class World:
    """A store, two videos whose parameters change, and a clock that builds move on."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "artifacts")
        self.params = {"demo": chain_of("1", "4", "a"), "harbour": chain_of("2", "8", "b")}
        self.made: dict[ArtifactId, Node] = {}  # all that ever was
        self.pinned: dict[ArtifactId, set[ArtifactId]] = {}  # by pin, what was whole then or was made since
        self.forgotten: set[ArtifactId] = set()  # by hand
        self.now = NOW
        for name in NAMES:
            self.build(name, Pipeline().last.name, 0.0)

    @property
    def graph(self) -> Graph:
        return Graph(Pipeline(), self.params, {}, {})

    @property
    def wanted(self) -> dict[ArtifactId, Node]:
        return {node.artifact: node for node in self.graph.all_nodes()}

    def find_whole(self) -> set[ArtifactId]:
        """Of all that was ever made, what can be read now."""
        inventory = take_inventory(self.store.root)
        return {each for each in self.made if inventory.is_there(each)}

    def edit(self, name: str, variant: dict[str, str]) -> None:
        self.params = {**self.params, name: chain_of(**variant)}

    def edit_and_build(self, name: str, variant: dict[str, str], days: float) -> None:
        self.edit(name, variant)
        self.build(name, Pipeline().last.name, days)

    def build(self, name: str, last: str, days: float) -> None:
        """As `doit` of a video, or of a stage of it, would: what is due, stage by stage, from inputs that are read."""
        self.now += days * DAY
        demand = Demand(self.graph, lambda node: self.store.verdict(node, CODE))
        nodes = [*self.params[name].values()]
        nodes = nodes[: [node.stage for node in nodes].index(last) + 1]
        demand.select([node.title for node in nodes])
        for node in nodes:
            if demand.is_due(node):
                self.make(node)
        if last == Pipeline().last.name:
            assert self.store.verdict(nodes[-1], CODE).is_fresh

    def make(self, node: Node) -> None:
        with self.store.draft(node) as draft:
            inputs = check_inputs(self.store, node)
            name = Pipeline()[node.stage].makes.payload
            (draft / name).write_bytes(payload_of(node))
            self.store.publish(node, draft, payload=name, inputs=inputs, code=CODE, run={})
        set_run(self.store, node, wall_s={node.stage: SECONDS[node.stage]})
        set_age(self.store, node, NOW - self.now)
        self.made[node.artifact] = node
        self.forgotten.discard(node.artifact)
        for kept in self.pinned.values():
            kept.add(node.artifact)

    def pin(self, name: str) -> None:
        *before, last = self.params[name].values()
        Pins(self.store.root).add(Pin(last.artifact, tuple(node.artifact for node in before), name=name))
        self.pinned[last.artifact] = self.find_whole()

    def pin_and_move_on(self, name: str, variant: dict[str, str], limit: Limit | None) -> None:
        """What pins are for: what is pinned is not wanted any more when a gc comes."""
        self.pin(name)
        self.edit_and_build(name, variant, 1.0)
        self.gc(limit)

    def unpin(self, name: str) -> None:
        for pin in Pins(self.store.root).read():
            if pin.name == name:
                Pins(self.store.root).remove(pin)
                del self.pinned[pin.artifact]

    def forget(self, name: str, stage: str) -> None:
        if self.store.forget(self.params[name][stage].artifact):
            self.forgotten.add(self.params[name][stage].artifact)

    def gc(self, limit: Limit | None) -> None:
        before = self.find_whole()
        limits = Limits(Limit(size_bytes=0), Limit(size_bytes=0), Limit(size_bytes=0), rest=limit)
        outcome = collect_garbage(
            self.store.root, frozenset(self.wanted), limits, Leases(self.store.root), now=self.now
        )
        assert outcome.collected.failures == {}
        after = self.find_whole()
        assert before & self.wanted.keys() <= after
        assert before - after == outcome.collected.payloads.keys()
        if limit == Limit(size_bytes=0):
            assert after <= outcome.kept
        if limit is None:
            assert after == before

    def what_is_pinned_is_there_and_whole(self) -> None:
        for pin in Pins(self.store.root).read():
            for artifact in self.pinned[pin.artifact] & {*pin.artifacts}:
                if artifact not in self.forgotten:
                    manifest = self.store.present_manifest(artifact)
                    payload = self.store.payload(artifact).read_bytes()
                    assert payload == payload_of(self.made[artifact])
                    assert manifest.digest == digest_bytes(payload)

    def nothing_that_is_there_looks_broken(self) -> None:
        """Whatever was deleted, what was made from it is fresh; unless a person has forgotten something before it."""
        for node in self.made.values():
            verdict = self.store.verdict(node, CODE)
            assert verdict.state in ("fresh", "collected", "absent", "forgotten") or self.is_below_forgotten(node)
            if verdict.is_fresh:
                assert self.store.payload(node.artifact).read_bytes() == payload_of(node)

    def is_below_forgotten(self, node: Node) -> bool:
        above = [self.made[artifact] for artifact in node.input_artifacts]
        return any(
            self.store.verdict(each, CODE).state == "forgotten" or self.is_below_forgotten(each) for each in above
        )

    def no_artifact_is_half_collected(self) -> None:
        for entry in take_inventory(self.store.root).entries.values():
            assert entry.manifest is not None
            assert entry.is_marked == (entry.payload_bytes is None)

    def check(self) -> None:
        """All that must hold at any time."""
        self.what_is_pinned_is_there_and_whole()
        self.nothing_that_is_there_looks_broken()
        self.no_artifact_is_half_collected()


def steps() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """What people do, as a method of World and its arguments."""
    name, days = st.sampled_from(NAMES), st.sampled_from([0.0, 1.0, 5.0])
    stage = st.sampled_from(Pipeline().names)
    arguments: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "edit": {"name": name, "variant": VARIANTS},
        "edit_and_build": {"name": name, "variant": VARIANTS, "days": days},
        "build": {"name": name, "last": stage, "days": days},
        "pin": {"name": name},
        "pin_and_move_on": {"name": name, "variant": VARIANTS, "limit": LIMITS},
        "unpin": {"name": name},
        "forget": {"name": name, "stage": stage},
        "gc": {"limit": LIMITS},
    }
    often = [*arguments, "edit_and_build", "edit_and_build", "gc", "gc"]
    return st.sampled_from(often).flatmap(lambda step: st.tuples(st.just(step), st.fixed_dictionaries(arguments[step])))


@settings(max_examples=25, deadline=None)
@given(st.lists(steps(), min_size=8, max_size=16))
def test_whatever_happens_what_is_wanted_or_pinned_is_there_and_whole(sequence: list[tuple[str, dict[str, Any]]]):
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for step, arguments in sequence:
            getattr(world, step)(**arguments)
            world.check()
