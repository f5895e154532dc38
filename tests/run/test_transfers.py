"""Where artifacts are, here and on the remote store, and what is moved by hand."""

from pathlib import Path

import pytest

from stages.errors import ParamsError, RemoteError
from stages.run.loading import load_build
from stages.run.transfers import fetch, find_places, find_unfetched, find_unpushed, make_pusher, require_exchange
from tests.commands.store_commands import make
from tests.run.fakes import ignore
from tests.run.two_machines import Machines, join, load, make_and_push

pytest.importorskip("obstore", reason="the extra `remote` is not installed")


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return join(tmp_path)


def unpushed(root: Path, *names: str) -> dict[str, bool]:
    """Stages of what would be pushed, and whether with its payload."""
    build, exchange = load(root)
    places = find_places(build, exchange, names)
    return {place.node.stage: is_whole for place, is_whole in find_unpushed(exchange, places, names)}


def test_a_place_says_what_is_here_and_what_is_there(machines: Machines):
    make_and_push(machines.one, ["encode", "denoise"])
    one, other = (find_places(*load(root), ()) for root in (machines.one, machines.other))
    assert [(place.is_whole_here, place.is_whole_there) for place in one] == [(True, True)] * 2 + [(True, False)] * 2
    assert [(place.here, place.is_whole_there) for place in other] == [(None, True)] * 2 + [(None, False)] * 2
    assert [place.size_bytes > 0 for place in other] == [True, True, False, False]


def test_what_is_not_there_is_to_be_pushed_frames_without_their_payload(machines: Machines):
    make(machines.one)
    assert unpushed(machines.one) == {"encode": True, "denoise": True, "decode": False, "export": True}


def test_a_stage_that_is_named_is_pushed_with_its_payloads_and_with_what_it_is_made_from(machines: Machines):
    make(machines.one)
    assert unpushed(machines.one, "decode") == {"encode": True, "denoise": True, "decode": True}


def test_what_is_there_is_not_to_be_pushed_again_but_a_payload_that_is_missing(machines: Machines):
    make_and_push(machines.one)
    assert unpushed(machines.one) == {}
    assert unpushed(machines.one, "decode") == {"decode": True}


def test_what_was_collected_here_is_to_be_known_there(machines: Machines):
    nodes = make(machines.one)
    build = load_build(machines.one, {})
    folder = build.store.folder(nodes["denoise"].artifact)
    (folder / "run.json").rename(folder / "run.collected.json")
    build.store.payload(nodes["denoise"].artifact).unlink()
    assert unpushed(machines.one)["denoise"] is False


def test_what_is_pushed_by_hand_is_there(machines: Machines):
    make(machines.one)
    build, exchange = load(machines.one)
    found = find_unpushed(exchange, find_places(build, exchange, ()), ())
    outcome = make_pusher(exchange, found).wait(lambda _done, _total: None)
    assert (outcome.num_pushed, dict(outcome.left)) == (4, {})
    assert unpushed(machines.one) == {}


def test_only_what_a_run_would_fetch_is_fetched(machines: Machines):
    make_and_push(machines.one)
    build, exchange = load(machines.other)
    for names, stages in (((), ["export"]), (("denoise",), ["denoise"]), (("demo",), ["export"])):
        places = find_places(build, exchange, names)
        assert [place.node.stage for place in find_unfetched(build, places, names)] == stages


def test_several_are_fetched_at_a_time_and_their_bytes_are_seen_together(machines: Machines):
    make_and_push(machines.one)
    build, exchange = load(machines.other)
    places = [place for place in find_places(build, exchange, ()) if place.is_whole_there]
    seen: list[int] = []
    endings = {node.stage: ending for node, ending in fetch(build, exchange, places, seen.append)}
    assert {stage: isinstance(ending, str) for stage, ending in endings.items()} == dict.fromkeys(
        ("encode", "denoise", "export"), False
    )
    assert seen[-1] == sum(place.size_bytes for place in places)


def test_what_cannot_be_fetched_says_why(machines: Machines):
    make_and_push(machines.one)
    for file in machines.shared.glob("payloads/*/video.mp4"):
        file.unlink()
    build, exchange = load(machines.other)
    places = [place for place in find_places(build, exchange, ()) if place.node.stage == "export"]
    (_, ending), *others = fetch(build, exchange, places, ignore)
    assert not others
    assert str(ending).endswith("video.mp4: is not there.")


def test_a_remote_store_that_does_not_answer_is_an_error_of_who_asks_for_it(machines: Machines):
    machines.shared.rmdir()
    build, exchange = load(machines.one)
    with pytest.raises(RemoteError, match="there is no such folder"):
        find_places(build, exchange, ())


def test_without_a_remote_store_the_message_says_how_to_have_one(machines: Machines):
    build = load_build(machines.one, {"machine.remote": ""})
    with pytest.raises(ParamsError) as error:
        require_exchange(build)
    assert str(error.value) == (
        'params/machine.toml: there is no remote store. Name one: `remote = "s3://bucket/prefix"`, or gs://, az://, or '
        "file:///mnt/shared (docs/team.md)."
    )
