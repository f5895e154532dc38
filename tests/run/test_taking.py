"""A node of a run: fetched where it can be, and otherwise made, with what it reads, and pushed."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.errors import RemoteError, StageError
from stages.keys import ArtifactId, Digest, Node
from stages.pipeline.stage import Program
from stages.remote.download import PayloadError
from stages.remote.layout import name_entry, variant_of
from stages.remote.object_storage import ObjectStorage
from stages.remote.remote import RemoteStore
from stages.run.build import Build
from stages.run.job import Job
from stages.run.runner import Event
from stages.store.artifacts import Store
from stages.store.stop_requests import StopRequests
from tests.run.fakes import FakeStore, ignore
from tests.run.two_machines import Machines, Publishing, join, load, make_and_push

pytest.importorskip("obstore", reason="the extra `remote` is not installed")


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return join(tmp_path)


@pytest.fixture
def pushed(machines: Machines) -> dict[str, Node]:
    return make_and_push(machines.one)


@pytest.fixture
def build(machines: Machines, pushed: dict[str, Node]) -> Build:
    """Of the other machine, whose processes make what the first has made."""
    assert pushed
    return replace(load(machines.other)[0], runner=Publishing(FakeStore(), root=machines.one / "artifacts"))


def runner_of(build: Build) -> Publishing:
    assert isinstance(build.runner, Publishing)
    return build.runner


def test_what_is_remote_is_fetched_and_no_process_is_asked(build: Build, pushed: dict[str, Node]):
    assert "fetched_bytes" in build.run(pushed["export"], ignore)
    assert runner_of(build).made == []


def test_what_was_fetched_is_not_pushed_again(build: Build, pushed: dict[str, Node]):
    build.run(pushed["export"], ignore)
    assert build.exchange is not None
    assert not build.exchange.is_pushing
    assert build.exchange.finish(ignore).num_pushed == 0


def test_what_is_to_be_made_in_any_case_is_not_fetched(build: Build, pushed: dict[str, Node]):
    build.run(pushed["encode"], ignore, may_fetch=False)
    assert runner_of(build).made == ["encode"]


def test_what_cannot_be_fetched_is_made_with_what_it_reads_of_which_the_rest_is_fetched(
    build: Build, pushed: dict[str, Node], machines: Machines
):
    for file in machines.shared.glob("payloads/*/video.mp4"):
        file.write_bytes(bytes(file.stat().st_size))
    events: list[Event] = []
    assert "fetched_bytes" not in build.run(pushed["export"], events.append)
    assert runner_of(build).made == ["decode", "export"]  # latents are fetched, frames were never pushed
    assert all(build.verdict(pushed[stage]).is_fresh for stage in ("denoise", "decode", "export"))
    (message,) = (str(event["message"]) for event in events if event["event"] == "warning")
    assert message.startswith(f"is made here, because it cannot be fetched: file://{machines.shared}: what it has of ")


def test_what_hosts_of_a_fleet_find_gone_is_made_again_before_what_reads_it(
    build: Build, pushed: dict[str, Node], machines: Machines
):
    entry = name_entry(denoise := pushed["denoise"].artifact, find_variant_of(machines, denoise), is_whole=True)

    class OnHosts(Publishing):
        """Its hosts read the remote store."""

        def run(self, job: Job, observe: object, *, ahead: Program | None = None) -> Event:
            assert build.remote is not None
            if job.node.stage == "decode" and self.made == []:
                build.remote.catalog.drop(entry)
                raise PayloadError("it is gone")
            return super().run(job, observe, ahead=ahead)

    runner = OnHosts(FakeStore(), root=machines.one / "artifacts")
    build = replace(build, machine=build.machine.model_copy(update={"runner": "ray"}), runner=runner)
    events: list[Event] = []
    build.run(pushed["decode"], events.append, may_fetch=False)
    assert runner.made == ["denoise", "decode"]  # what encode has made is there
    assert "what it reads is made again: it is gone" in [event.get("message") for event in events]


def find_variant_of(machines: Machines, artifact: ArtifactId) -> Digest:
    return variant_of(Store(machines.one / "artifacts").present_manifest(artifact))


def test_what_is_being_fetched_can_be_stopped(build: Build, pushed: dict[str, Node], monkeypatch: pytest.MonkeyPatch):
    export = pushed["export"]

    def fetch(*arguments: Any) -> int:
        *_, observe = arguments
        holder = build.leases.find_holder(export.artifact)
        assert holder is not None
        StopRequests(build.store.root).ask(export.artifact, holder)
        while True:
            observe(1, 2)
            time.sleep(0.01)

    monkeypatch.setattr(RemoteStore, "fetch", fetch)
    with pytest.raises(StageError, match=f"^{export.title}: was stopped by .* with `doit stop`"):
        build.run(export, ignore)
    assert runner_of(build).made == []


def test_where_the_remote_store_breaks_off_all_is_made_here(build: Build, pushed: dict[str, Node], machines: Machines):
    assert build.verdict(pushed["export"]).state == "remote"
    for file in machines.shared.rglob("payloads/*/*"):
        file.unlink()
    build.run(pushed["export"], ignore)
    assert runner_of(build).made == ["encode", "denoise", "decode", "export"]


def test_a_remote_store_that_goes_away_in_a_run_is_named_once_and_not_asked_again(
    build: Build,
    pushed: dict[str, Node],
    machines: Machines,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    read, asked, events = ObjectStorage.read, list[str](), list[Event]()

    def note(bucket: ObjectStorage, name: str, take: Callable[[memoryview], None]) -> bool:
        asked.append(name)
        return read(bucket, name, take)

    assert build.exchange is not None
    build.exchange.begin([node.title for node in pushed.values()])
    machines.break_payloads()
    monkeypatch.setattr(ObjectStorage, "read", note)
    build.run(pushed["export"], events.append)
    assert [name.partition("/")[0] for name in asked] == ["payloads"]
    assert runner_of(build).made == ["encode", "denoise", "decode", "export"]
    assert not [event for event in events if event["event"] == "warning"]
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: file://{machines.shared}: cannot be used (")
    assert warning.endswith("Work goes on without it.")


def test_what_was_to_be_fetched_from_a_remote_store_that_is_away_by_then_is_made_with_what_it_reads(
    build: Build, pushed: dict[str, Node]
):
    assert build.exchange is not None
    build.exchange.nodes.record(pushed.values())
    build.exchange.remote.give_up(RemoteError("file://shared: does not answer."))
    build.run(pushed["export"], ignore)
    assert runner_of(build).made == ["encode", "denoise", "decode", "export"]


def test_devices_that_nothing_needs_after_a_fetch_are_given_up(build: Build, pushed: dict[str, Node]):
    build.run(pushed["export"], ignore, keeps_devices=lambda: False)
    assert runner_of(build).num_given_up == 1
