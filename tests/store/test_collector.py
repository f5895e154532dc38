"""How a plan is carried out: what others do meanwhile, and what is left when it is ended in the middle."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import ArtifactId, Node
from stages.machine.holder import Holder
from stages.store.artifacts import Store
from stages.store.collection import Plan, plan_collection
from stages.store.collector import Collected, Collector
from stages.store.inputs import check_inputs
from stages.store.inventory import Inventory, take_inventory
from stages.store.lease_file import Lease, write_lease
from stages.store.leases import InUse, Leases
from stages.store.manifest import COLLECTED, MANIFEST, RUN
from stages.store.partial import KeptState, PartialStates
from stages.store.pins import Pin, Pins
from stages.store.quantities import Limit
from tests.builders import CODE, build_node, collect, files_below, publish
from tests.store.inventories import NOW, build_video, fill, ids, set_age
from tests.store.leases_held import held

pytestmark = pytest.mark.processes

PATHS = [str(Path(__file__).parents[2]), *sys.path]  # of another process that collects as the tests do


@dataclass
class Users:
    """Who is at work, as a test says; acts when it is asked, as somebody else would at that moment."""

    artifacts: set[ArtifactId] = field(default_factory=set)
    paths: set[Path] = field(default_factory=set)
    num_asked: int = 0
    root: Path | None = None
    act: Callable[[], None] = lambda: None

    def look(self) -> InUse:
        self.num_asked += 1
        return InUse(dict.fromkeys(self.artifacts, Holder.here()), {*self.paths})

    def files(self) -> Collection[Path]:
        if self.root is None or is_free(self.root / ".lock"):  # while the store is locked nobody else can do anything
            self.act()
        return {*self.paths}


def is_free(lock: Path) -> bool:
    with lock.open() as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


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
    carry_out(store, plan_all(inventory), Users({video["decode"].artifact}, {store.root / "lease"}))
    assert states(store, *video.values()) == ["fresh", "fresh", "fresh", "absent"]
    assert states(store, *other.values()) == ["fresh", "absent", "absent", "absent"]


def test_what_somebody_begins_to_use_after_the_plan_was_made_stays(store: Store):
    """The plan holds everything; a lease appears when half of the payloads are gone."""
    video = build_video()
    plan = plan_all(fill(store, video))
    users = Users(root=store.root)

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
    users = Users(root=store.root)

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


def lease_file(store: Store, node: Node) -> Path:
    return store.root / ".leases" / f"{node.stage}-{node.key}.json"


def test_a_lease_that_a_killed_run_has_left_and_the_next_run_takes_again_is_looked_at_again(store: Store):
    """Under the same name, perhaps in the same inode: the collector has seen, and deleted, the one before."""
    video = build_video()
    inventory = fill(store, video)
    reads = ids(video, "encode", "denoise", "decode")
    left = Lease(Holder.here(), video["export"].artifact, reads, "", is_locked=True)
    lease_file(store, video["export"]).parent.mkdir()
    lease_file(store, video["export"]).write_bytes(left.to_json(0))
    uses = Watched(store.root)
    with ExitStack() as stack:
        uses.after_look = lambda: stack.enter_context(held(store.root, video["export"], reads))
        done = Collector(store.root, inventory, uses).carry_out(plan_all(inventory))
        assert (done.payloads, done.records) == ({}, [])
        assert states(store, *video.values()) == ["fresh"] * 4
    assert uses.num_looks == 2


class Watched:
    """Real leases; something happens once, right after they were looked at."""

    def __init__(self, root: Path) -> None:
        self.leases = Leases(root)
        self.num_looks = 0
        self.after_look: Callable[[], object] = lambda: None

    def look(self) -> InUse:
        found = self.leases.look()
        self.num_looks += 1
        if self.num_looks == 1:
            self.after_look()
        return found

    def files(self) -> Collection[Path]:
        return self.leases.files()


def test_a_lease_that_is_locked_and_written_later_keeps_what_it_names(store: Store):
    """It is empty when the collector looks first: its holder has just made the file."""
    video = build_video()
    inventory = fill(store, video)
    reads = ids(video, "encode", "denoise", "decode")
    path = lease_file(store, video["export"])
    path.parent.mkdir()
    uses = Watched(store.root)
    Pins(store.root).add(Pin(build_node("export").artifact, ()))  # so that the collector looks at all
    with path.open("w+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lease = Lease(Holder.here(), video["export"].artifact, reads, "", is_locked=True)
        uses.after_look = lambda: write_lease(file.fileno(), lease.to_json(0))
        done = Collector(store.root, inventory, uses).carry_out(plan_all(inventory))
    assert (done.payloads, done.records, uses.num_looks) == ({}, [], 2)


def test_a_lease_that_was_given_back_and_taken_again_is_not_asked_about_again(store: Store):
    """Its name says what is made, and so what is read."""
    video, other = build_video(seed=1), build_video(seed=2)
    inventory = fill(store, video, other)
    uses, reads = Watched(store.root), ids(video, "encode", "denoise", "decode")
    with ExitStack() as stack:
        first = held(store.root, video["export"], reads)
        first.__enter__()

        def take_again() -> None:
            first.__exit__(None, None, None)
            stack.enter_context(held(store.root, video["export"], reads))

        uses.after_look = take_again
        Collector(store.root, inventory, uses).carry_out(plan_all(inventory))
    assert uses.num_looks == 1
    assert states(store, *video.values()) == ["fresh"] * 4
    assert states(store, *other.values()) == ["fresh", "absent", "absent", "absent"]


def test_a_pin_that_comes_to_keep_more_is_read_again(store: Store):
    """`doit pin` on what is pinned adds what it was made from."""
    video, other = build_video(seed=1), build_video(seed=2)
    inventory = fill(store, video, other)
    Pins(store.root).add(Pin(video["export"].artifact, ()))
    plan, uses = plan_all(inventory, video["export"].artifact), Watched(store.root)
    uses.after_look = lambda: Pins(store.root).add(Pin(video["export"].artifact, ids(other)))
    done = Collector(store.root, inventory, uses).carry_out(plan)
    assert (done.payloads, done.records) == ({}, [])


def write_partial(store: Store, node: Node) -> KeptState:
    state = store.root / "partial" / node.stage / node.key / "state"
    state.parent.mkdir(parents=True)
    state.write_text("first step")
    found = PartialStates(store.root).find(node.artifact)
    assert found is not None
    return found


def test_a_partial_state_goes_while_nobody_is_at_work_on_it(store: Store):
    video = build_video()
    state = write_partial(store, video["denoise"])
    with held(store.root, video["denoise"], ids(video, "encode")):
        assert not Collector(store.root, Inventory(), Leases(store.root)).delete_partial(state)
    assert state.path.exists()
    assert Collector(store.root, Inventory(), Leases(store.root)).delete_partial(state)
    assert not state.path.exists()


@pytest.mark.parametrize("act", ["written in place", "replaced", "deleted"])
def test_a_partial_state_that_was_written_since_it_was_found_stays(store: Store, act: str):
    node = build_video()["denoise"]
    state = write_partial(store, node)
    file = state.path / "state"
    if act == "written in place":
        file.write_text("later step")
    elif act == "replaced":
        (state.path / "new").write_text("first step")
        (state.path / "new").replace(file)
    else:
        shutil.rmtree(state.path)
    assert not Collector(store.root, Inventory(), Users()).delete_partial(state)
    assert file.exists() is (act != "deleted")


def move_away(store: Store, node: Node) -> Path:
    """Have an artifact's folder elsewhere, and a link in its place."""
    elsewhere = store.root.parent / "elsewhere"
    store.folder(node.artifact).rename(elsewhere)
    store.folder(node.artifact).symlink_to(elsewhere)
    return elsewhere


@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_is_deleted_through_a_link_that_is_there_before_or_after_the_plan_was_made(store: Store, when: str):
    video = build_video()
    inventory = fill(store, video)
    elsewhere = move_away(store, video["decode"]) if when == "before" else None
    plan = plan_all(take_inventory(store.root))
    elsewhere = elsewhere or move_away(store, video["decode"])
    before = files_below(elsewhere)
    done = carry_out(store, plan, inventory=inventory)
    assert files_below(elsewhere) == before
    assert video["decode"].artifact not in done.payloads
    assert store.folder(video["decode"].artifact).is_symlink()


def test_what_an_artifact_elsewhere_was_made_from_stays_as_a_record(store: Store):
    video = build_video()
    fill(store, video)
    move_away(store, video["decode"])
    carry_out(store, plan_all(take_inventory(store.root)))
    assert states(store, *video.values()) == ["collected", "collected", "fresh", "absent"]


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
    users = Users(root=store.root)

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


# Imports once, and forks for each collector; a process of its own, because this one has threads.
COLLECT = """
import os, shutil, sys, traceback
from pathlib import Path
folder, moments, is_each_alone = Path(sys.argv[1]), eval(sys.argv[2]), sys.argv[3] == "alone"
sys.path[:0] = sys.argv[4:]
from tests.store.test_collector import Users, plan_all
from stages.store.collector import Collector
from stages.store.inventory import take_inventory
def collect(root, left):
    inventory = take_inventory(root)
    def count(event, arguments):
        nonlocal left
        if event in ("os.rename", "os.remove", "os.rmdir"):
            left -= 1
            if left < 0:
                os._exit(9)
    sys.addaudithook(count)
    Collector(root, inventory, Users()).carry_out(plan_all(inventory))
def fork(root, moment):
    process = os.fork()
    if process:
        return process
    try:
        collect(root, moment)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
def end(process):
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(code, flush=True)
    return code
if is_each_alone:
    for moment in moments:
        root = folder / str(moment)
        shutil.copytree(folder / "whole", root, symlinks=True)
        if end(fork(root, moment)) == 0:
            break
else:
    for process in [fork(folder / "whole", moment) for moment in moments]:
        end(process)
"""


def collect_in_other_processes(folder: Path, moments: str, *, is_each_alone: bool) -> list[str]:
    """Let collectors delete `folder`/whole, or a copy each, and end without warning at a moment; their exit codes."""
    alone = "alone" if is_each_alone else "together"
    command = [sys.executable, "-c", COLLECT, str(folder), moments, alone, *PATHS]
    done = subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_a_gc_killed_at_any_moment_leaves_what_is_there_fresh_and_the_next_one_goes_on(tmp_path: Path):
    """The process ends without warning at the n-th change of the store, for every n."""
    video = build_video()
    fill(Store(tmp_path / "whole"), video)
    codes = collect_in_other_processes(tmp_path, "range(1000)", is_each_alone=True)
    assert codes == ["9"] * (len(codes) - 1) + ["0"]
    assert len(codes) > 4 * 5  # of each artifact: mark, payload, manifest, mark, folder
    for moment in range(len(codes)):
        store = Store(tmp_path / str(moment))
        found = states(store, *video.values())
        assert {*found} <= {"fresh", "collected", "absent"}, (moment, found)
        gone = found.index("absent") if "absent" in found else len(found)
        assert {*found[gone:]} <= {"absent"}, (
            moment,
            found,
        )  # inputs stay longest
        carry_out(store, plan_all(take_inventory(store.root)))
        assert take_inventory(store.root).entries == {}, moment


def test_two_collectors_at_once_delete_everything_once_and_do_not_fail(tmp_path: Path):
    store = Store(tmp_path / "whole")
    fill(store, *(build_video(seed=seed) for seed in range(12)))
    assert collect_in_other_processes(tmp_path, "[10**9] * 2", is_each_alone=False) == ["0", "0"]
    assert take_inventory(store.root).entries == {}
