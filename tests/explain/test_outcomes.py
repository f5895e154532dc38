"""What becomes of nodes, by the store's word on each and on what they read."""

from collections.abc import Mapping

import pytest

from stages.explain.outcomes import changing_inputs, find_outcomes
from stages.store.verdict import Reason, State, Verdict
from tests.store.inventories import build_video

NODES = [*build_video().values()]


def outcomes(*states: State | Verdict, wanted: str = "export") -> list[str]:
    """Of encode, denoise, decode and export, from the store's words on them."""
    verdicts = {
        node.artifact: state if isinstance(state, Verdict) else Verdict(state)
        for node, state in zip(NODES, states, strict=True)
    }
    found: Mapping[object, str] = find_outcomes(NODES, verdicts, lambda node: node.stage == wanted)
    return [found[node.artifact] for node in NODES]


def stale(*fields: str) -> Verdict:
    return Verdict("stale", tuple(Reason(field, "before", "now") for field in fields))


def test_what_is_fresh_stays():
    assert outcomes("fresh", "fresh", "fresh", "fresh") == ["fresh"] * 4


@pytest.mark.parametrize("state", ["absent", "forgotten", "corrupt"])
def test_what_is_made_from_something_that_runs_waits(state: State):
    assert outcomes("fresh", state, "fresh", "fresh") == ["fresh", "run", "waits", "waits"]


def test_what_has_never_been_made_does_not_wait():
    assert outcomes("absent", "absent", "absent", "absent") == ["run"] * 4


def test_code_that_changed_runs_whatever_comes_before():
    assert outcomes("fresh", "forgotten", stale("inputs.denoise", "code"), "fresh") == ["fresh", "run", "run", "waits"]


def test_other_bytes_of_what_is_read_are_waited_for_only_where_it_is_made_again():
    assert outcomes("fresh", "fresh", stale("inputs.denoise"), "fresh") == ["fresh", "fresh", "run", "waits"]
    assert outcomes("fresh", "forgotten", stale("inputs.denoise"), "fresh") == ["fresh", "run", "waits", "waits"]


def test_a_collected_artifact_that_nothing_reads_stays_so():
    assert outcomes("fresh", "fresh", "collected", "fresh") == ["fresh"] * 4


def test_a_collected_artifact_runs_when_something_that_reads_it_does():
    assert outcomes("fresh", "collected", "collected", "absent") == ["fresh", "run", "run", "run"]


def test_a_collected_artifact_waits_when_what_reads_it_does():
    assert outcomes("forgotten", "collected", "collected", "fresh") == ["run", "waits", "waits", "waits"]


def test_a_collected_artifact_that_is_wanted_for_itself_runs():
    assert outcomes("fresh", "fresh", "fresh", "collected")[-1] == "run"
    assert outcomes("fresh", "fresh", "collected", "fresh", wanted="decode") == ["fresh", "fresh", "run", "waits"]


def test_inputs_that_are_not_part_of_the_run_change_nothing():
    encode, denoise = NODES[:2]
    assert changing_inputs(denoise, {encode.artifact: "waits"}) == ["encode"]
    assert changing_inputs(denoise, {}) == []


def test_a_remote_artifact_that_nothing_reads_stays_there():
    assert outcomes("remote", "remote", "remote", "fresh") == ["remote", "remote", "remote", "fresh"]


def test_a_remote_video_is_fetched_and_nothing_that_it_was_made_from():
    assert outcomes("remote", "remote", "collected", "remote") == ["remote", "remote", "fresh", "fetch"]


def test_a_remote_artifact_is_fetched_when_something_that_reads_it_runs_or_may():
    assert outcomes("remote", "remote", "remote", "absent") == ["remote", "remote", "fetch", "run"]
    assert outcomes("remote", "remote", "collected", "absent") == ["remote", "fetch", "run", "run"]


def test_a_remote_artifact_waits_for_what_it_was_made_from_if_that_is_made_again():
    assert outcomes("forgotten", "fresh", "remote", "fresh") == ["run", "waits", "waits", "waits"]
