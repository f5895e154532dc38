"""What killed runs of a fleet leave on a remote store goes, and what a run uses stays."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stages.keys import ArtifactId, Digest, Node
from stages.remote.abandoned import Abandoned, collect_abandoned
from stages.remote.address import read_address
from stages.remote.bucket import Bucket, StoredObject
from stages.remote.catalog import Catalog
from stages.remote.claims import Claims
from stages.remote.collection import Rules
from stages.remote.collector import collect_remote
from stages.remote.layout import name_claim, name_partial, variant_of
from stages.remote.object_storage import open_bucket
from stages.remote.upload import upload
from stages.store.artifacts import Store
from tests.builders import CODE
from tests.remote.memory_bucket import MemoryBucket, names_of
from tests.remote.s3 import BUCKET
from tests.remote.shared import ignore, made

DAY_S = 86_400.0
MONTH = Rules(keep_s=30 * DAY_S)
VARIANT = Digest("f" * 32)
STATE = b"state"


def collect(bucket: Bucket, rules: Rules, *, is_dry_run: bool = False) -> Abandoned:
    done = collect_remote(bucket, rules, is_dry_run=is_dry_run)
    return collect_abandoned(bucket, rules, done, is_dry_run=is_dry_run)


def put_unfinished(bucket: Bucket, artifact: ArtifactId) -> None:
    """What a run leaves that is killed in the middle of a node."""
    bucket.put(name_claim(artifact, VARIANT), b"{}")
    bucket.put(name_partial(artifact), STATE)


def push(bucket: Bucket, store: Store, *, prompt: str = "x", is_whole: bool = True) -> Node:
    node, entry = made(store, prompt=prompt)
    upload(bucket, Catalog(bucket), store.folder(node.artifact), entry, ignore, is_whole=is_whole)
    return node


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def node(store: Store) -> Node:
    return made(store)[0]


def test_a_claim_that_nobody_has_renewed_within_the_grace_time_goes(bucket: MemoryBucket, node: Node):
    bucket.put(name_claim(node.artifact, VARIANT), b"{}")
    bucket.now += DAY_S / 2
    assert collect(bucket, MONTH) == Abandoned()
    bucket.now += DAY_S
    assert [each.name for each in collect(bucket, Rules()).claims] == [name_claim(node.artifact, VARIANT)]
    assert names_of(bucket, "claims") == {}


def test_the_state_of_what_is_finished_goes_after_the_grace_time(bucket: MemoryBucket, store: Store):
    artifact = push(bucket, store).artifact
    put_unfinished(bucket, artifact)
    bucket.now += DAY_S / 2
    assert not collect(bucket, Rules()).states
    bucket.now += DAY_S
    assert {*collect(bucket, Rules()).states} == {artifact}
    assert names_of(bucket, "partial") == {}


@pytest.mark.parametrize("is_whole", [False, None])
def test_the_state_of_what_nobody_can_fetch_goes_only_with_an_age(
    bucket: MemoryBucket, store: Store, node: Node, is_whole: bool | None
):
    if is_whole is not None:
        push(bucket, store, is_whole=is_whole)
    put_unfinished(bucket, node.artifact)
    bucket.now += 29 * DAY_S
    left = collect(bucket, Rules())
    assert (left.states, left.rest_bytes) == ({}, len(STATE))
    assert not collect(bucket, MONTH).states
    bucket.now += 2 * DAY_S
    assert {*collect(bucket, MONTH).states} == {node.artifact}


def test_a_wanted_state_stays_until_it_is_finished_by_the_present_code(bucket: MemoryBucket, store: Store):
    artifact = push(bucket, store).artifact
    put_unfinished(bucket, artifact)
    bucket.now += 400 * DAY_S
    other = replace(MONTH, wanted={artifact: (Digest("0" * 32),)})
    left = collect(bucket, other, is_dry_run=True)
    assert (left.states, left.rest_bytes) == ({}, 0)
    assert collect(bucket, replace(MONTH, wanted={artifact: (CODE,)})).states


def test_the_state_of_what_a_run_has_claimed_stays(bucket: MemoryBucket, store: Store):
    artifact = push(bucket, store).artifact
    bucket.put(name_partial(artifact), STATE)
    bucket.now += 400 * DAY_S
    with Claims(bucket).hold(name_claim(artifact, VARIANT), lambda _holder, _waited_s: None):
        left = collect(bucket, replace(MONTH, keep_s=0.0))
    assert (left.claims, left.states) == ((), {})
    assert names_of(bucket, "partial") == {name_partial(artifact): STATE}


def test_a_run_that_begins_while_a_collector_lists_is_seen(bucket: MemoryBucket, node: Node):
    put_unfinished(bucket, node.artifact)
    bucket.now += 400 * DAY_S
    done = collect_remote(bucket, MONTH)

    class Beginning(MemoryBucket):
        def list(self, prefix: str) -> Iterator[StoredObject]:
            found = super().list(prefix)
            self.put(name_claim(node.artifact, VARIANT), b"{}")
            return found

    assert not collect_abandoned(Beginning(bucket.objects, bucket.now), MONTH, done).states


def test_a_claim_that_is_taken_over_meanwhile_stays(bucket: MemoryBucket, node: Node):
    name = name_claim(node.artifact, VARIANT)
    bucket.put(name, b"{}")
    bucket.now += 400 * DAY_S
    done = collect_remote(bucket, MONTH)

    class TakenOver(MemoryBucket):
        def list(self, prefix: str) -> Iterator[StoredObject]:
            yield from [*super().list(prefix)]
            self.put(name, b"{another}")

    taken = TakenOver(bucket.objects, bucket.now)
    assert collect_abandoned(taken, MONTH, done) == Abandoned()
    assert names_of(taken, "claims") == {name: b"{another}"}


def test_a_dry_run_deletes_nothing_and_other_objects_stay(bucket: MemoryBucket, store: Store):
    artifact = push(bucket, store).artifact
    put_unfinished(bucket, artifact)
    for name in ("claims/note.txt", "partial/denoise/note.txt", "partial/denoise/key/more"):
        bucket.put(name, b"")
    bucket.now += 400 * DAY_S
    before = dict(bucket.objects)
    left = collect(bucket, MONTH, is_dry_run=True)
    assert (len(left.claims), len(left.states)) == (1, 1)
    assert bucket.objects == before
    collect(bucket, replace(MONTH, wanted={artifact: None}))
    assert before.keys() - bucket.objects.keys() == {name_claim(artifact, VARIANT), name_partial(artifact)}


@pytest.mark.usefixtures("s3")
@pytest.mark.processes
def test_on_an_s3_it_goes_by_the_time_of_the_bucket(store: Store, monkeypatch: pytest.MonkeyPatch):
    bucket = open_bucket(read_address(f"s3://{BUCKET}/abandoned"))
    node, entry = made(store)
    upload(bucket, Catalog(bucket), store.folder(node.artifact), entry, ignore, is_whole=True)
    put_unfinished(bucket, node.artifact)
    monkeypatch.setattr("time.time", lambda: 1e12)
    assert collect(bucket, Rules()) == Abandoned(rest_bytes=len(STATE))
    left = collect(bucket, Rules(grace_s=-5.0))  # also what was put just now
    assert (len(left.claims), {*left.states}) == (1, {node.artifact})
    assert not [*bucket.list("claims"), *bucket.list("partial")]
    assert variant_of(entry.manifest) in next(bucket.list("artifacts")).name
