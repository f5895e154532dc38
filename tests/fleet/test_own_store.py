"""A host's own store, beside a remote store in a folder."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from stages.errors import EndedError, RemoteError, StageError, StoreError
from stages.fleet import own_store
from stages.fleet.errand import Errand
from stages.fleet.own_store import OwnStore
from stages.keys import Node
from stages.remote.address import read_address
from stages.remote.layout import name_partial
from stages.remote.object_storage import open_bucket
from stages.run.job import Job
from stages.store.artifacts import Store
from stages.store.partial import PartialState, PartialStates
from tests.builders import publish
from tests.run.fakes import ignore
from tests.run.two_machines import Machines, join, load, make_and_push

pytest.importorskip("obstore", reason="the extra `remote` is not installed")
STATE = PartialState({"code": "c"}, {"num_done": 1}, b"latents")


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return join(tmp_path)


@pytest.fixture
def nodes(machines: Machines) -> dict[str, Node]:
    return make_and_push(machines.one, ["encode", "denoise"])


def errand_of(machines: Machines, nodes: dict[str, Node], stage: str) -> tuple[Errand, Job]:
    build, exchange = load(machines.one)
    names = [
        exchange.nodes.find(nodes[each]) for each in ("encode", "denoise")[: ("denoise", "decode").index(stage) + 1]
    ]
    job = build.job(nodes[stage])
    return Errand(job, remote=f"file://{machines.shared}", entries=tuple(found.name for found in names if found)), job


def open_own(machines: Machines) -> OwnStore:
    return OwnStore.open("stages.decode", f"file://{machines.shared}")


def save_and_end(errand: Errand, job: Job, own: OwnStore) -> None:
    """What the process of a denoise does that is ended in the middle."""
    with own.made_here(errand, job, ignore) as (own_job, _):
        PartialStates(own_job.store).write(job.node.artifact, STATE)
        raise EndedError("its process was ended by SIGTERM")


def test_each_actor_has_a_store_of_its_own(machines: Machines):
    roots = [open_own(machines).store.root for _ in range(2)]
    assert [root.name for root in roots] == ["stages.decode-0", "stages.decode-1"]


def test_a_file_system_without_locks_is_an_error(machines: Machines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(own_store, "try_lock", lambda _: None)
    with pytest.raises(StageError, match=r"/fleet: is on a file system without locks, .*XDG_CACHE"):
        open_own(machines)


def test_what_is_read_comes_and_of_the_rest_what_it_is_and_a_result_is_handed_over(
    machines: Machines, nodes: dict[str, Node]
):
    own = open_own(machines)
    errand, job = errand_of(machines, nodes, "decode")
    with own.made_here(errand, job, ignore) as (own_job, deliver):
        here = Store(own_job.store)
        assert own_job.store == own.store.root
        assert here.payload(nodes["denoise"].artifact).is_file()
        assert here.manifest(nodes["encode"].artifact) is not None
        assert not here.payload(nodes["encode"].artifact).exists()
        publish(here, job.node, b"frames", job.code)
        entry = deliver()
    assert (machines.shared / entry).is_file()
    assert [path.read_bytes() for path in machines.shared.glob("payloads/*/frames.safetensors")] == [b"frames"]
    assert not [*own.store.root.glob("decode/*")]  # it has been handed over


def test_of_hosts_that_make_it_together_the_first_hands_over(machines: Machines, nodes: dict[str, Node]):
    own = open_own(machines)
    errand, job = errand_of(machines, nodes, "denoise")
    with own.made_here(replace(errand, hosts="h:1 1/2"), job, ignore) as (own_job, deliver):
        assert Store(own_job.store).payload(nodes["encode"].artifact).is_file()
        PartialStates(own_job.store).write(job.node.artifact, STATE)
        assert deliver() == ""
    assert not (machines.shared / name_partial(job.node.artifact)).exists()


def test_an_input_that_is_gone_is_an_error_and_nothing_stays(machines: Machines, nodes: dict[str, Node]):
    own = open_own(machines)
    errand, job = errand_of(machines, nodes, "decode")
    (machines.shared / errand.entries[-1]).unlink()
    with pytest.raises(RemoteError, match="is gone"), own.made_here(errand, job, ignore):
        pass
    assert not [*own.store.root.glob("encode/*")]


def test_a_disk_that_takes_no_state_is_named(
    machines: Machines, nodes: dict[str, Node], monkeypatch: pytest.MonkeyPatch
):
    errand, job = errand_of(machines, nodes, "denoise")
    open_bucket(read_address(errand.remote)).put(name_partial(job.node.artifact), STATE.to_bytes(job.node.artifact))

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    own = open_own(machines)
    monkeypatch.setattr(PartialStates, "write_file", fail)
    with (
        pytest.raises(StoreError, match=r"^/.*partial.*: No space left.*XDG_CACHE_HOME"),
        own.made_here(errand, job, ignore),
    ):
        pass


def test_a_state_that_is_saved_is_put_there_and_the_next_host_begins_with_it(
    machines: Machines, nodes: dict[str, Node]
):
    errand, job = errand_of(machines, nodes, "denoise")
    name = name_partial(job.node.artifact)
    bucket = open_bucket(read_address(errand.remote))
    with pytest.raises(EndedError):
        save_and_end(errand, job, open_own(machines))
    assert bucket.get(name) == STATE.to_bytes(job.node.artifact)
    with open_own(machines).made_here(errand, job, ignore) as (own_job, _):
        assert PartialStates(own_job.store).read(job.node.artifact, payload_bytes=len(STATE.payload)) == STATE
    assert bucket.get(name) is None  # the node is finished
