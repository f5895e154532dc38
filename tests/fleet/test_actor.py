"""What an actor does on its host, in this process: with the real export stage, the quickest to start."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

import stages.fleet.actor
from stages.errors import BeingCollectedError, RemoteError, StageError
from stages.fleet.actor import StageActor
from stages.fleet.errand import ENDED, FAILED, Errand
from stages.fleet.own_store import OwnStore
from stages.run.job import Job
from stages.run.runner import Event
from stages.store.artifacts import Store
from stages.store.leases import Leases
from tests.builders import code_of
from tests.run.export_jobs import build_store, export_job

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def actor() -> Iterator[StageActor]:
    with closing(StageActor("stages.export")) as actor:
        yield actor


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return build_store(tmp_path)


def do(actor: StageActor, job: Job, *, has_lease: bool = True) -> list[Event]:
    """All events of a job, whose lease the driver has."""
    leases = Leases(job.store)
    if not has_lease:
        return [*map(json.loads, actor.run(Errand(job).to_json()))]
    with leases.hold(job.node, (), wait=lambda _holder, _waited_s: None):
        return [*map(json.loads, actor.run(Errand(job).to_json()))]


def test_it_greets_with_the_fingerprint_of_the_code_that_it_has(actor: StageActor):
    assert json.loads(actor.greet())["code"] == code_of("export")


def test_a_job_is_done_and_its_events_are_passed_on(actor: StageActor, store: Store):
    job = export_job(store)
    *events, ending = do(actor, job)
    assert ending["event"] == "result"
    assert [event["done"] for event in events if event["event"] == "progress"] == [0, 1, 2, 3, 4, 5]
    assert store.verdict(job.node, job.code).is_fresh


def test_the_next_job_is_done_by_the_same_process(actor: StageActor, store: Store):
    numbers = []
    for fps in (9, 10):
        job = export_job(store, fps=fps)
        do(actor, job)
        numbers.append(json.loads((store.folder(job.node.artifact) / "run.json").read_text())["number_in_process"])
    assert numbers[1] == numbers[0] + 1
    assert json.loads(actor.describe())["node"] == ""


def test_what_fails_is_an_event_with_the_message_and_the_host(actor: StageActor, store: Store):
    *_, ending = do(actor, export_job(store, crop="64x64"))
    assert ending["event"] == FAILED
    assert str(ending["message"]).startswith('ParamsError: export.crop = "64x64"')
    assert "It ran on" in str(ending["message"])
    assert "Traceback" in str(ending["traceback"])


def test_a_process_that_is_killed_is_an_event_and_the_next_job_has_another(store: Store):
    with closing(StageActor("stages.export")) as actor:
        do(actor, export_job(store))
        assert actor._workers is not None
        (process,) = actor._workers.process_ids.values()
        text = Errand(export_job(store, fps=11)).to_json()
        with Leases(store.root).hold(export_job(store, fps=11).node, (), wait=lambda _holder, _waited_s: None):
            os.kill(process, signal.SIGSTOP)  # it takes no job
            events = actor.run(text)
            assert json.loads(next(events))["event"] == "phase"
            os.kill(process, signal.SIGKILL)
            *_, ending = map(json.loads, events)
        assert ending["event"] == "result"  # it had waited for a job, and is started again


def test_a_result_is_handed_over_to_a_remote_store_that_was_away(
    actor: StageActor, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stages.fleet.actor, "_PAUSES_S", (0, 0))
    faults: list[Exception] = [RemoteError("it is away"), BeingCollectedError("it is being deleted")]
    told = SimpleQueue[Event | Exception | None]()

    def deliver() -> str:
        if faults:
            raise faults.pop(0)
        return "entry"

    assert actor._hand_over(export_job(store), deliver, told) == "entry"
    assert [str(event["name"]) for event in (told.get(), told.get()) if isinstance(event, dict)] == [
        f"was made; handing over is tried again in 0 s: {why}" for why in ("it is away", "it is being deleted")
    ]
    faults = [RemoteError("it is away")] * 3
    with pytest.raises(StageError, match="was made, and cannot be handed over: it is away"):
        actor._hand_over(export_job(store), deliver, told)


def test_what_is_stopped_before_its_process_has_it_is_not_begun(
    actor: StageActor, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("obstore", reason="the extra `remote` is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(OwnStore, "_bring", lambda *_: actor.stop(at_once=False))
    errand = Errand(export_job(store), remote=f"file://{tmp_path}", entries=("any",))
    *_, ending = map(json.loads, actor.run(errand.to_json()))
    assert ending["event"] == ENDED
    assert "was stopped before it began" in ending["message"]


def test_a_host_that_does_not_see_the_store_says_so(actor: StageActor, store: Store):
    *_, ending = do(actor, export_job(store), has_lease=False)
    assert ending["event"] == FAILED
    assert f"does not see the store {store.root}" in str(ending["message"])
