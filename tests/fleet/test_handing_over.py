"""The driver's half of a fleet whose hosts have stores of their own."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from stages.errors import RemoteError, StageError
from stages.fleet.handing_over import HandingOver
from stages.keys import Node
from stages.remote.claims import Claims
from stages.remote.download import PayloadError
from stages.remote.layout import name_claim, name_entry, name_partial, variant_of
from stages.remote.object_storage import ObjectStorage
from stages.run.build import Build
from stages.run.interruption import describe_left
from stages.run.job import Job
from stages.run.runner import Event
from stages.store.artifacts import Store
from stages.store.partial import PartialState, PartialStates
from tests.commands.store_commands import make
from tests.run.fakes import ignore
from tests.run.two_machines import Machines, join, load, make_and_push

pytest.importorskip("obstore", reason="the extra `remote` is not installed")


@dataclass(frozen=True)
class Driver:
    """A driver, and the nodes of its video."""

    build: Build
    handing_over: HandingOver
    nodes: dict[str, Node]

    def job(self, stage: str) -> Job:
        return self.build.job(self.nodes[stage])

    def entry(self, stage: str, store: Store | None = None, *, is_whole: bool = True) -> str:
        store = store or self.handing_over.store
        artifact = self.nodes[stage].artifact
        return name_entry(artifact, variant_of(store.present_manifest(artifact)), is_whole=is_whole)


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return join(tmp_path)


def drive(root: Path, nodes: dict[str, Node]) -> Driver:
    build, exchange = load(root)
    assert isinstance(build.store, Store)
    return Driver(build, HandingOver(build.store, exchange.remote, "export"), nodes)


def test_what_a_job_reads_is_pushed_and_of_what_that_was_made_from_what_it_is(machines: Machines):
    driver = drive(machines.one, make(machines.one))
    driver.build.store.remove(driver.nodes["export"].artifact)
    names = driver.handing_over.prepare(driver.job("export"))
    assert names == (
        driver.entry("encode", is_whole=False),
        driver.entry("denoise", is_whole=False),
        driver.entry("decode", is_whole=True),
    )
    assert all((machines.shared / name).is_file() for name in names)
    assert [path.name for path in machines.shared.glob("payloads/*/*.*")] == ["frames.safetensors"]


def test_what_is_there_is_not_pushed_again(machines: Machines):
    driver = drive(machines.one, make_and_push(machines.one))
    entry = machines.shared / driver.entry("denoise")
    before = entry.stat().st_mtime_ns
    assert driver.handing_over.prepare(driver.job("decode"))[-1] == driver.entry("denoise")
    assert entry.stat().st_mtime_ns == before


def test_a_payload_that_is_gone_is_pushed_again_or_is_to_be_made_again(machines: Machines):
    driver = drive(machines.one, make_and_push(machines.one))
    denoise = driver.nodes["denoise"]

    def lose() -> None:
        (payload,) = machines.shared.glob("payloads/*/*latents*")
        payload.unlink()

    lose()
    assert driver.handing_over.prepare(driver.job("decode"))[-1] == driver.entry("denoise")
    lose()
    driver.build.store.payload(denoise.artifact).unlink()
    with pytest.raises(PayloadError, match=f"^{denoise.title}: its payload is gone from file://"):
        driver.handing_over.prepare(driver.job("decode"))
    variant = variant_of(driver.handing_over.store.present_manifest(denoise.artifact))
    assert driver.handing_over.remote.find(denoise.artifact, variant) is None


def take(driver: Driver, stage: str, entry: str) -> Event:
    return driver.handing_over.take(driver.job(stage), {"event": "result", "entry": entry}, ignore)


def test_of_a_result_it_is_put_down_what_it_is_and_a_video_is_fetched(machines: Machines):
    maker = drive(machines.one, make_and_push(machines.one))
    driver = drive(machines.other, maker.nodes)
    for stage in ("encode", "denoise", "export"):
        assert take(driver, stage, maker.entry(stage)) == {"event": "result", "is_pushed": True}
    assert [driver.build.verdict_here(driver.nodes[stage]).state for stage in ("encode", "denoise")] == [
        "collected"
    ] * 2
    assert driver.build.store.payload(driver.nodes["export"].artifact).is_file()


def test_what_is_here_and_the_same_stays(machines: Machines):
    maker = drive(machines.one, make_and_push(machines.one))
    take(maker, "denoise", maker.entry("denoise"))
    assert maker.build.store.payload(maker.nodes["denoise"].artifact).is_file()


def test_a_result_that_is_gone_is_an_error(machines: Machines):
    maker = drive(machines.one, make_and_push(machines.one))
    (machines.shared / maker.entry("encode")).unlink()
    with pytest.raises(StageError, match="is gone already"):
        take(drive(machines.other, maker.nodes), "encode", maker.entry("encode"))


def test_what_another_run_has_made_meanwhile_is_not_made(machines: Machines):
    nodes = make(machines.one)
    driver = drive(machines.other, nodes)
    assert not driver.handing_over.remote.catalog.names()
    make_and_push(machines.one)
    with driver.handing_over.claim(driver.job("encode"), ignore) as made:
        assert made is not None
        assert (machines.shared / str(made["entry"])).is_file()


def test_who_waits_for_another_run_says_so_or_is_refused(machines: Machines):
    driver = drive(machines.other, make(machines.one))
    job = driver.build.job(driver.nodes["encode"], waits=False)
    with driver.handing_over.claim(driver.job("encode"), ignore) as made:
        assert made is None
        assert [*machines.shared.glob("claims/encode/*/*.json")]
        with pytest.raises(StageError, match="is being made by"), driver.handing_over.claim(job, ignore):
            pass
    assert not [*machines.shared.glob("claims/encode/*/*.json")]


def test_what_is_left_of_a_lost_job_is_said(machines: Machines):
    driver = drive(machines.one, make(machines.one))
    job = driver.job("denoise")
    assert driver.handing_over.describe_left(job) == "nothing of it was on the remote store, so it begins anew."
    driver.handing_over.remote.bucket.put(name_partial(job.node.artifact), b"state")
    assert driver.handing_over.describe_left(job) == "it goes on from the state that is on the remote store."


def test_what_is_left_is_said_also_when_nobody_knows(machines: Machines, monkeypatch: pytest.MonkeyPatch):
    driver = drive(machines.one, make(machines.one))
    monkeypatch.setattr(ObjectStorage, "get", fail)
    assert driver.handing_over.describe_left(driver.job("denoise")).endswith("is not known: it is away")


def fail(*_: object) -> None:
    raise RemoteError("it is away")


def test_how_far_a_stopped_node_was_is_known_here(machines: Machines):
    driver = drive(machines.one, make(machines.one))
    denoise, encode = driver.nodes["denoise"], driver.nodes["encode"]
    state = PartialState({}, {"num_done": 3}, b"latents")
    driver.handing_over.remote.bucket.put(name_partial(denoise.artifact), state.to_bytes(denoise.artifact))
    driver.handing_over.bring_states([encode, denoise])
    said = describe_left([denoise], machines.one / "artifacts")
    assert said.startswith(f"{denoise.title}: saved after step 3 of ")
    make_and_push(machines.one)
    take(driver, "denoise", driver.entry("denoise"))
    assert not [*PartialStates(machines.one / "artifacts").find_all()]


def test_a_remote_store_that_was_given_up_makes_nothing(machines: Machines):
    driver = drive(machines.one, make(machines.one))
    driver.handing_over.require()
    driver = drive(machines.one, driver.nodes)
    driver.handing_over.remote.give_up(RemoteError("it is away."))
    with pytest.raises(RemoteError, match=r"^it is away\. Hosts of the fleet .* nothing is made\.$"):
        driver.handing_over.require()


def test_what_ends_waiting_for_another_run(machines: Machines):
    driver = drive(machines.other, make(machines.one))
    job = driver.job("encode")

    def end() -> None:
        raise StageError("stopped")

    with (
        driver.handing_over.claim(job, ignore),
        pytest.raises(StageError, match="stopped"),
        driver.handing_over.claim(job, ignore, end),
    ):
        pass


def test_a_claim_names_the_variant(machines: Machines):
    driver = drive(machines.one, make(machines.one))
    job = driver.job("decode")
    artifact = job.node.artifact
    variant = variant_of(driver.handing_over.store.present_manifest(artifact))
    with Claims(driver.handing_over.remote.bucket).hold(name_claim(artifact, variant), lambda *_: None):
        phases: list[Event] = []

        def observe(event: Event) -> None:
            phases.append(event)
            raise TimeoutError

        with pytest.raises(TimeoutError), driver.handing_over.claim(job, observe):
            pass
    assert "is being made by" in str(phases[0]["name"])
