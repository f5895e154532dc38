"""What a node is made from, kept while it is read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import digest_bytes
from stages.store.artifacts import Store
from stages.store.held_inputs import hold_inputs
from tests.builders import build_chain, build_node, publish

ENCODE, DENOISE = build_chain()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "artifacts")
    publish(store, ENCODE, b"one")
    return store


CHANGES: dict[str, Callable[[Store], object]] = {
    "forgotten": lambda store: store.forget(ENCODE.artifact),
    "removed": lambda store: store.remove(ENCODE.artifact),
    "made again": lambda store: publish(store, ENCODE, b"two"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_held_is_read_whatever_becomes_of_it(store: Store, change: Callable[[Store], object]):
    with hold_inputs(store, DENOISE) as held:
        change(store)
        (one,) = held.values()
        assert (one.path.read_bytes(), one.path.read_bytes()) == (b"one", b"one")
        assert one.digest == digest_bytes(b"one")


def test_what_is_made_from_nothing_holds_nothing(store: Store):
    with hold_inputs(store, ENCODE) as held:
        assert held == {}


class Replacing(Store):
    """A store in which another run makes an artifact again at the worst moment: it is open, and not yet checked."""

    num_checks = 0

    def check_inputs(self, node):  # type: ignore[no-untyped-def]
        self.num_checks += 1
        if self.num_checks == 1:
            publish(Store(self.root), ENCODE, b"two")
        return super().check_inputs(node)


def test_what_is_held_is_what_was_checked_though_it_was_replaced_in_between(store: Store):
    replacing = Replacing(store.root)
    with hold_inputs(replacing, DENOISE) as held:
        (two,) = held.values()
        assert (two.path.read_bytes(), two.digest) == (b"two", digest_bytes(b"two"))
    assert replacing.num_checks == 2


def test_a_damaged_artifact_is_refused(store: Store):
    store.payload(ENCODE.artifact).write_bytes(b"eno")
    with pytest.raises(StoreError, match="xxh3 is"), hold_inputs(store, DENOISE):
        pass


def test_an_artifact_without_its_payload_is_refused(store: Store):
    store.payload(ENCODE.artifact).unlink()
    with pytest.raises(StoreError, match="is not there"), hold_inputs(store, DENOISE):
        pass


def test_an_artifact_that_is_not_there_is_refused(store: Store):
    with (
        pytest.raises(StoreError, match="was removed while it was in use"),
        hold_inputs(store, build_node("denoise", inputs={"encode": build_node(prompt="x").key})),
    ):
        pass
