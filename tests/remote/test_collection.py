"""What `doit gc --remote` deletes, by what lies there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stages.keys import Digest, Node
from stages.remote.catalog import Catalog
from stages.remote.collection import Plan, Rules, find_obstacles, plan_collection
from stages.remote.copies import CopyId
from stages.remote.entry import Entry
from stages.remote.inventory import ItemId, Listing
from stages.remote.layout import mark_of_copy, name_entry, name_use, variant_of
from stages.remote.upload import upload
from stages.store.artifacts import Store
from tests.builders import CODE, build_chain, build_node, publish
from tests.remote.memory_bucket import MemoryBucket
from tests.remote.shared import ignore

DAY_S = 86_400.0
MONTH = Rules(keep_s=30 * DAY_S)


@dataclass(frozen=True)
class Shared:
    """A remote store, and the store from which it is filled."""

    bucket: MemoryBucket
    store: Store

    def push(self, node: Node, payload: bytes = b"payload", code: Digest = CODE) -> ItemId:
        publish(self.store, node, payload, code)
        manifest = self.store.present_manifest(node.artifact)
        folder = self.store.folder(node.artifact)
        upload(self.bucket, Catalog(self.bucket), folder, Entry(manifest, {}), ignore, is_whole=True)
        return ItemId(node.artifact, variant_of(manifest))

    def plan(self, rules: Rules) -> Plan:
        return plan_collection(Listing(self.bucket).take(), rules, now=self.bucket.now)


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared(MemoryBucket(), Store(tmp_path))


def wanted(*nodes: Node, code: Digest | None = CODE) -> Mapping[object, object]:
    return {node.artifact: None if code is None else (code,) for node in nodes}


def test_what_was_not_used_for_so_long_goes_and_what_was_stays(shared: Shared):
    old = shared.push(build_node(prompt="old"))
    shared.bucket.now += 31 * DAY_S
    shared.push(build_node(prompt="new"))
    assert shared.plan(MONTH).items == {old}


def test_what_is_younger_than_the_grace_time_stays_whatever_is_to_be_kept(shared: Shared):
    shared.push(build_node(prompt="x"))
    shared.bucket.now += DAY_S / 2
    assert shared.plan(Rules(keep_s=0.0)).items == frozenset()


def test_what_something_younger_was_made_from_stays(shared: Shared):
    encode, denoise = build_chain(prompt="x")
    shared.push(encode, b"embeddings")
    shared.bucket.now += 31 * DAY_S
    shared.push(denoise)
    assert shared.plan(MONTH).items == frozenset()


def test_what_is_wanted_stays_with_what_it_was_made_from(shared: Shared):
    encode, denoise = build_chain(prompt="x")
    shared.push(encode, b"embeddings")
    shared.push(denoise)
    other = shared.push(build_node(prompt="y"))
    shared.bucket.now += 400 * DAY_S
    assert shared.plan(replace(MONTH, wanted=wanted(denoise))).items == {other}


def test_of_what_is_wanted_a_variant_of_other_code_is_part_of_the_rest_unless_it_is_pinned(shared: Shared):
    node = build_node(prompt="x")
    shared.push(node)
    old = shared.push(node, code=Digest("0" * 32))
    shared.bucket.now += 31 * DAY_S
    assert shared.plan(replace(MONTH, wanted=wanted(node))).items == {old}
    assert shared.plan(replace(MONTH, wanted=wanted(node, code=None))).items == frozenset()


def test_without_an_age_no_artifact_goes(shared: Shared):
    shared.push(build_node(prompt="x"))
    shared.bucket.now += 4000 * DAY_S
    assert shared.plan(Rules()) == Plan()


def test_a_payload_goes_when_no_artifact_has_it_and_the_grace_time_is_over(shared: Shared):
    one, two = (shared.push(build_node(prompt=prompt)) for prompt in "xy")
    digest = shared.store.present_manifest(one.artifact).digest
    garbage = frozenset([CopyId(digest, "")])
    shared.bucket.delete([name_entry(*one, is_whole=True)])
    shared.bucket.now += 2 * DAY_S
    assert shared.plan(Rules()).copies == frozenset()
    shared.bucket.delete([name_entry(*two, is_whole=True)])
    assert (shared.plan(Rules()).copies, shared.plan(Rules()).waiting) == (garbage, frozenset())
    long = Rules(grace_s=3 * DAY_S)
    assert (shared.plan(long).copies, shared.plan(long).waiting) == (frozenset(), garbage)


def test_where_an_object_says_nothing_no_payload_goes_unless_it_is_damaged_and_counts_for_nothing(shared: Shared):
    item_id = shared.push(build_node(prompt="x"))
    name = name_entry(*item_id, is_whole=True)
    shared.bucket.put(name, b"x")
    shared.bucket.now += 2 * DAY_S
    assert shared.plan(Rules()) == Plan()
    assert find_obstacles(Listing(shared.bucket).take(), Rules()) == [name]
    skipping = shared.plan(Rules(skips_damaged=True))
    assert (len(skipping.copies), skipping.others) == (1, {name})


def test_notes_of_what_is_gone_are_of_no_use_after_the_grace_time(shared: Shared):
    item_id = shared.push(build_node(prompt="x"))
    shared.bucket.put(name_use(*item_id), b"")
    shared.bucket.now += 2 * DAY_S
    assert shared.plan(Rules()).others == frozenset()
    shared.bucket.delete([name_entry(*item_id, is_whole=True)])
    assert shared.plan(Rules()).others == {name_use(*item_id)}
    assert shared.plan(Rules(grace_s=3 * DAY_S)).others == frozenset()


def test_the_mark_of_a_copy_that_was_deleted_stays_for_a_month(shared: Shared):
    mark = mark_of_copy(Digest("d" * 32), "", "0" * 32)
    shared.bucket.put(mark, b"")
    shared.bucket.now += 29 * DAY_S
    assert shared.plan(Rules()).others == frozenset()
    shared.bucket.now += 2 * DAY_S
    assert shared.plan(Rules()).others == {mark}
