"""How a plan is carried out: what others do meanwhile, and what is left when it is ended in the middle."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import ArtifactId, Node
from stages.store.artifacts import Store
from stages.store.collection import Plan, plan_collection
from stages.store.collector import Collected, Collector
from stages.store.inputs import check_inputs
from stages.store.inventory import Inventory, take_inventory
from stages.store.manifest import COLLECTED, MANIFEST, RUN
from stages.store.pins import Pin, Pins
from stages.store.quantities import Limit
from tests.builders import CODE, build_node, collect, files_below, publish
from tests.store.inventories import NOW, build_video, fill, ids, set_age

pytestmark = pytest.mark.processes

PATHS = [str(Path(__file__).parents[2]), *sys.path]  # of another process that collects as the tests do


@dataclass
class Users:
    """Who is at work, as a test says; acts when it is asked, as somebody else would at that moment."""

    artifacts: set[ArtifactId] = field(default_factory=set)
    paths: set[Path] = field(default_factory=set)
    num_asked: int = 0
    num_looks: int = 0
    act: Callable[[], None] = lambda: None

    def in_use(self) -> Collection[ArtifactId]:
        self.num_asked += 1
        return {*self.artifacts}

    def files(self) -> Collection[Path]:
        self.num_looks += 1
        if self.num_looks % 2:  # each second look is under the store's lock, when nobody else can do anything
            self.act()
        return {*self.paths}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def plan_all(inventory: Inventory, *kept: ArtifactId) -> Plan:
    return plan_collection(inventory, inventory.ancestors(kept), Limit(size_bytes=0), now=NOW)


def carry_out(store: Store, plan: Plan, users: Users | None = None, inventory: Inventory | None = None) -> Collected:
    return Collector(store.root, inventory or take_inventory(store.root), users or Users()).carry_out(plan)


def states(store: Store, *nodes: Node) -> list[str]:
    return [store.verdict(node, CODE).state for node in nodes]


def test_of_a_collected_artifact_all_but_the_payload_stays(store: Store):
    video = build_video()
    fill(store, video)
    folder = store.folder(video["decode"].artifact)
    before = files_below(folder)
    done = carry_out(store, Plan(payloads=ids(video, "decode")))
    after = files_below(folder)
    assert after == {MANIFEST: before[MANIFEST], COLLECTED: before[RUN]}
    assert done.payloads == {video["decode"].artifact: len(before["frames.safetensors"])}
    assert states(store, *video.values()) == ["fresh", "fresh", "collected", "fresh"]


def test_when_everything_goes_nothing_is_left(store: Store):
    inventory = fill(store, build_video(seed=1), build_video(seed=2))
    done = carry_out(store, plan_all(inventory))
    assert len(done.payloads) == len(done.records) == len(inventory.entries)
    assert take_inventory(store.root).entries == {}
    assert [path for path in store.root.rglob("*") if path.is_file()] == [store.root / ".lock"]


def test_notes_on_a_payload_go_with_the_artifact(store: Store):
    video = build_video()
    fill(store, video)
    for node in video.values():
        (store.folder(node.artifact) / ".checked").write_text("a note")
        (store.folder(node.artifact) / ".checked-0123456789abcdef").write_text("a note that was never finished")
    carry_out(store, plan_all(take_inventory(store.root)))
    assert take_inventory(store.root).entries == {}
    assert [*(store.root / "decode").iterdir()] == []


def test_files_of_a_persons_own_stay(store: Store):
    video = build_video()
    inventory = fill(store, video)
    own = store.folder(video["export"].artifact) / "notes.txt"
    own.write_text("mine")
    carry_out(store, plan_all(inventory))
    assert own.read_text() == "mine"
    assert [*own.parent.iterdir()] == [own]


def test_what_is_in_use_stays_with_all_that_it_was_made_from(store: Store):
    video, other = build_video(seed=1), build_video(seed=2)
    inventory = fill(store, video, other)
    carry_out(store, plan_all(inventory), Users({video["decode"].artifact}))
    assert states(store, *video.values()) == ["fresh", "fresh", "fresh", "absent"]
    assert states(store, *other.values()) == ["fresh", "absent", "absent", "absent"]


def test_what_somebody_begins_to_use_after_the_plan_was_made_stays(store: Store):
    """The plan holds everything; a lease appears when half of the payloads are gone."""
    video = build_video()
    plan = plan_all(fill(store, video))
    users = Users()

    def begin() -> None:
        if states(store, video["decode"]) == ["collected"]:
            users.artifacts.add(video["export"].artifact)
            users.paths.add(store.root / ".leases" / "one")

    users.act = begin
    done = carry_out(store, plan, users)
    assert [*done.payloads] == [video["decode"].artifact]
    assert done.records == []
    assert states(store, *video.values()) == ["fresh", "fresh", "collected", "fresh"]


def test_what_somebody_pins_after_the_plan_was_made_stays(store: Store):
    video = build_video()
    plan = plan_all(fill(store, video))
    users = Users()

    def pin() -> None:
        if states(store, video["decode"]) == ["collected"]:
            Pins(store.root).add(Pin(video["export"].artifact, (), by="ann", since="now"))

    users.act = pin
    carry_out(store, plan, users)
    assert states(store, *video.values()) == ["fresh", "fresh", "collected", "fresh"]


def test_who_is_at_work_is_asked_once_while_nobody_begins_anything(store: Store):
    users = Users(paths={store.root / ".leases" / "one"})
    carry_out(store, plan_all(fill(store, *(build_video(seed=seed) for seed in range(4)))), users)
    assert users.num_asked == 1


@pytest.mark.parametrize("act", ["used", "made again", "forgotten"])
def test_what_was_used_or_made_again_after_the_plan_was_made_stays(store: Store, act: str):
    node = build_node()
    publish(store, node)
    set_age(store, node, 0.0)
    inventory = take_inventory(store.root)
    if act == "used":
        check_inputs(store, build_node("denoise", inputs={"encode": node.key}))
    elif act == "made again":
        publish(store, node, b"other bytes")
    else:
        store.forget(node.artifact)
    done = carry_out(store, plan_all(inventory), inventory=inventory)
    assert (done.payloads, done.records) == ({}, [])
    assert states(store, node) == ["forgotten" if act == "forgotten" else "fresh"]


def test_a_record_stays_when_something_was_made_from_it_meanwhile(store: Store):
    """Its own bytes are gone, but what another `doit` has just published would not be fresh without it."""
    encode = build_node("encode")
    denoise = build_node("denoise", inputs={"encode": encode.key})
    publish(store, encode)
    set_age(store, encode, 0.0)
    inventory = take_inventory(store.root)
    plan = plan_all(inventory)
    users = Users()

    def make() -> None:
        if states(store, encode) == ["collected"] and states(store, denoise) == ["absent"]:
            with store.draft() as draft:
                (draft / "latents.safetensors").write_bytes(b"latents")
                inputs = {encode.artifact: store.present_manifest(encode.artifact).digest}
                store.publish(denoise, draft, payload="latents.safetensors", inputs=inputs, code=CODE, run={})

    users.act = make
    done = carry_out(store, plan, users, inventory)
    assert done.records == []
    assert states(store, encode, denoise) == ["collected", "fresh"]


def test_a_record_that_was_made_again_meanwhile_stays(store: Store):
    node = build_node()
    publish(store, node)
    collect(store, node)
    inventory = take_inventory(store.root)
    publish(store, node)
    assert carry_out(store, plan_all(inventory), inventory=inventory).records == []
    assert states(store, node) == ["fresh"]


def test_a_payload_that_cannot_be_deleted_stays_fresh_and_is_named(store: Store, monkeypatch: pytest.MonkeyPatch):
    video = build_video()
    inventory = fill(store, video)
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".mp4":
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    done = carry_out(store, plan_all(inventory))
    assert done.failures == {video["export"].artifact: "Operation not permitted"}
    assert (store.folder(video["export"].artifact) / RUN).is_file()
    assert states(store, *video.values()) == ["collected", "collected", "collected", "fresh"]


def test_a_pin_that_cannot_be_read_stops_it_before_anything_is_deleted(store: Store):
    video = build_video()
    inventory = fill(store, video)
    Pins(store.root).add(Pin(video["export"].artifact, ()))
    next(iter(Pins(store.root).files())).write_text("{")
    with pytest.raises(StoreError, match="Until then nothing is deleted"):
        carry_out(store, plan_all(inventory))
    assert states(store, *video.values()) == ["fresh"] * 4


def test_an_artifact_that_kept_its_payload_gets_its_run_json_back(store: Store):
    node = build_node()
    publish(store, node)
    folder = store.folder(node.artifact)
    before = files_below(folder)
    (folder / RUN).rename(folder / COLLECTED)
    Collector(store.root, take_inventory(store.root), Users()).mend()
    assert files_below(folder) == before


KILLED = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from tests.store.test_collector import Users, plan_all
from stages.store.collector import Collector
from stages.store.inventory import take_inventory
left = int(sys.argv[2])
inventory = take_inventory(Path(sys.argv[1]))
keep = [artifact for artifact in inventory.entries if artifact.stage == "export"][:1]
plan = plan_all(inventory)
def count(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir"):
        left -= 1
        if left < 0:
            os._exit(9)
sys.addaudithook(count)
Collector(Path(sys.argv[1]), inventory, Users()).carry_out(plan)
"""


def test_a_gc_killed_at_any_moment_leaves_what_is_there_fresh_and_the_next_one_goes_on(store: Store, tmp_path: Path):
    """The process ends without warning at the n-th change of the store, for every n."""
    video = build_video()
    fill(store, video)
    whole = tmp_path / "whole"
    shutil.copytree(store.root, whole, symlinks=True)
    num_moments = 0
    for moment in range(0, 100, 3):  # of each artifact: mark, payload, manifest, mark, folder
        shutil.rmtree(store.root)
        shutil.copytree(whole, store.root, symlinks=True)
        command = [sys.executable, "-c", KILLED, str(store.root), str(moment), *PATHS]
        ended = subprocess.run(command, check=False, cwd=tmp_path)
        found = states(Store(store.root), *video.values())
        assert {*found} <= {"fresh", "collected", "absent"}, (moment, found)
        for node, state in zip(video.values(), found, strict=True):
            assert state != "absent" or not any(
                other != "absent"
                for later, other in zip(video.values(), found, strict=True)
                if node.key in later.inputs.values()
            ), (moment, found)
        inventory = take_inventory(store.root)
        carry_out(store, plan_all(inventory))
        assert take_inventory(store.root).entries == {}, moment
        if ended.returncode == 0:
            break
        num_moments += 1
    assert num_moments >= 6


def test_two_collectors_at_once_delete_everything_once_and_do_not_fail(store: Store, tmp_path: Path):
    fill(store, *(build_video(seed=seed) for seed in range(12)))
    command = [sys.executable, "-c", KILLED, str(store.root), str(10**9), *PATHS]
    both = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[1] for process in both] == ["", ""]
    assert [process.returncode for process in both] == [0, 0]
    assert take_inventory(store.root).entries == {}
