"""A collector of a remote store beside those who push, fetch and collect, in all orders of their requests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest

from stages.errors import BeingCollectedError
from stages.keys import Digest, Node
from stages.remote.address import read_address
from stages.remote.bucket import Bucket
from stages.remote.catalog import Catalog
from stages.remote.collection import Rules
from stages.remote.collector import collect_remote
from stages.remote.entry import Entry
from stages.remote.layout import name_entry, name_parts, size_of_part, variant_of
from stages.remote.object_storage import open_bucket
from stages.remote.upload import upload
from stages.store.artifacts import Store
from tests.remote.memory_bucket import Actor, MemoryBucket, names_of
from tests.remote.s3 import BUCKET
from tests.remote.schedules import explore
from tests.remote.shared import ignore, made

DAY_S = 86_400.0
PAYLOAD, PART_BYTES = b"0123456789abcdef", 8
LOST = Digest("0" * 32)
KEEP_A_MONTH, GARBAGE_ALONE = Rules(keep_s=30 * DAY_S), Rules()


@pytest.fixture(autouse=True)
def one_request_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.remote.in_parallel.map_in_parallel.__defaults__", (1,))


@dataclass(frozen=True)
class Pushing:
    """Two artifacts with the same bytes, and what pushes them."""

    store: Store
    nodes: Sequence[Node]
    entries: Sequence[Entry]

    def push(self, bucket: Bucket, number: int = 0) -> None:
        folder = self.store.folder(self.nodes[number].artifact)
        upload(bucket, Catalog(bucket), folder, self.entries[number], ignore, is_whole=True)

    def name(self, number: int = 0) -> str:
        entry = self.entries[number]
        return name_entry(entry.manifest.node.artifact, variant_of(entry.manifest), is_whole=True)


@pytest.fixture(scope="module")
def pushing(tmp_path_factory: pytest.TempPathFactory) -> Pushing:
    store = Store(tmp_path_factory.mktemp("collector"))
    both = [made(store, PAYLOAD, prompt=prompt) for prompt in ("x", "y")]
    entries = [replace(entry, part_bytes=PART_BYTES) for _, entry in both]
    return Pushing(store, [node for node, _ in both], entries)


def nothing(bucket: MemoryBucket, pushing: Pushing) -> None:
    pass


def garbage(bucket: MemoryBucket, pushing: Pushing) -> None:
    """A payload that no artifact has."""
    pushing.push(bucket)
    bucket.delete([pushing.name()])


def part(bucket: MemoryBucket, pushing: Pushing) -> None:
    """What a push has left that was killed."""
    garbage(bucket, pushing)
    bucket.delete([name_parts(pushing.entries[0].manifest, PART_BYTES)[1]])


def unused(bucket: MemoryBucket, pushing: Pushing) -> None:
    """The same artifact, which nobody has used for long."""
    pushing.push(bucket)


def unused_twin(bucket: MemoryBucket, pushing: Pushing) -> None:
    """Another artifact with the same bytes, which nobody has used for long."""
    pushing.push(bucket, 1)


def unused_twin_in_other_parts(bucket: MemoryBucket, pushing: Pushing) -> None:
    """Another artifact with the same bytes, pushed by a version that cuts them differently."""
    entry = replace(pushing.entries[1], part_bytes=PART_BYTES // 2)
    folder = pushing.store.folder(pushing.nodes[1].artifact)
    upload(bucket, Catalog(bucket), folder, entry, ignore, is_whole=True)


def half_deleted(bucket: MemoryBucket, pushing: Pushing) -> None:
    """What a collector has left that was killed."""
    garbage(bucket, pushing)
    bucket.now += 2 * DAY_S
    collector = Actor(bucket, lambda seen: collect(seen, GARBAGE_ALONE))
    while not any(".collected" in name for name in bucket.objects):
        collector.step()
    collector.kill()
    bucket.delete([name_parts(pushing.entries[0].manifest, PART_BYTES)[0]])


def lost(bucket: MemoryBucket, pushing: Pushing) -> None:
    """What says what the same artifact is with other bytes, which are gone."""
    entry = pushing.entries[0]
    bucket.put(pushing.name(), replace(entry, manifest=replace(entry.manifest, digest=LOST)).to_bytes())


read_entry = cache(Entry.from_bytes)  # it is asked after each request of each order, of few objects
Before = Callable[[MemoryBucket, Pushing], None]
BEFORE: Sequence[Before] = (nothing, garbage, part, unused, unused_twin, half_deleted, lost)


def collect(bucket: Bucket, rules: Rules) -> None:
    collect_remote(bucket, rules)


def require_payloads(bucket: MemoryBucket) -> None:
    """Whoever sees an artifact finds its payload, unless that was lost before."""
    for content in names_of(bucket, "artifacts").values():
        entry = read_entry(content)
        if entry.manifest.digest == LOST:
            continue
        for index, name in enumerate(name_parts(entry.manifest, entry.part_bytes, entry.copy)):
            assert len(bucket.objects[name][0]) == size_of_part(entry.manifest, index, entry.part_bytes)


def read(bucket: Bucket) -> None:
    """What a run does: what is there first, payloads later."""
    catalog = Catalog(bucket)
    for found in [catalog.read(name) for name in catalog.names()]:
        if found is not None and found.entry.manifest.digest != LOST:
            manifest, part_bytes = found.entry.manifest, found.entry.part_bytes
            parts = [bucket.get(name) for name in name_parts(manifest, part_bytes, found.entry.copy)]
            assert b"".join(each or b"" for each in parts) == PAYLOAD


def run_all_orders(
    before: Before,
    pushing: Pushing,
    others: Sequence[Callable[[Bucket], None]],
    *,
    num_switches: int,
    lists_twice: bool = False,
) -> int:
    """Push beside others, in all orders; what was pushed stays, and no artifact is without its payload."""
    bucket = MemoryBucket()

    def start() -> Sequence[Actor]:
        bucket.objects.clear()
        before(bucket, pushing)
        bucket.now += 60 * DAY_S
        return [Actor(bucket, act, lists_twice=lists_twice) for act in (pushing.push, *others)]

    def check(actors: Sequence[Actor]) -> None:
        require_payloads(bucket)
        for actor in actors:
            if actor.is_over and actor.error is not None:
                assert actor is actors[0]
                assert isinstance(actor.error, BeingCollectedError)
        if all(actor.is_over for actor in actors) and actors[0].error is None:
            assert pushing.name() in bucket.objects
            collect(bucket, KEEP_A_MONTH)
            assert pushing.name() in bucket.objects
            require_payloads(bucket)

    return explore(start, check, num_switches=num_switches)


@pytest.mark.parametrize("before", [*BEFORE, unused_twin_in_other_parts])
def test_a_push_beside_a_collector_is_there_with_its_payload_whatever_was_there_before(
    before: Before, pushing: Pushing
):
    assert run_all_orders(before, pushing, [lambda bucket: collect(bucket, KEEP_A_MONTH)], num_switches=2) > 50


def test_a_push_is_there_also_where_its_listing_is_no_picture_of_one_moment(pushing: Pushing):
    bucket = MemoryBucket()
    garbage(bucket, pushing)
    bucket.now += 60 * DAY_S
    pusher = Actor(bucket, pushing.push, lists_twice=True)
    collector = Actor(bucket, lambda seen: collect(seen, GARBAGE_ALONE))
    for _ in range(6):  # it has listed what there is: both kinds of small objects, and the payload
        pusher.step()
    while not any(".collected-" in name for name in bucket.objects):
        collector.step()
    for _ in range(4):  # it has looked once more
        collector.step()
    for _ in range(2):  # it has touched the payload, and listed its parts; of marks it learns later
        pusher.step()
    assert len(names_of(bucket, "payloads")) == 4  # two parts, the touch, the mark
    collector.finish()
    assert [name for name in names_of(bucket, "payloads") if ".collected-" not in name][1:] == []
    pusher.finish()
    require_payloads(bucket)
    assert pushing.name() in bucket.objects


@pytest.mark.faults
def test_a_push_is_there_also_where_no_listing_is_a_picture_of_one_moment(pushing: Pushing):
    others = [lambda bucket: collect(bucket, GARBAGE_ALONE)]
    assert run_all_orders(garbage, pushing, others, num_switches=3, lists_twice=True) > 500


@pytest.mark.faults
@pytest.mark.parametrize("before", BEFORE)
def test_a_push_beside_two_collectors_and_a_reader_is_there_with_its_payload(before: Before, pushing: Pushing):
    others = [lambda bucket: collect(bucket, KEEP_A_MONTH), lambda bucket: collect(bucket, KEEP_A_MONTH), read]
    assert run_all_orders(before, pushing, others, num_switches=2) > 1000


def run_one(before: Before, pushing: Pushing, num_requests: int) -> tuple[MemoryBucket, Actor]:
    """A bucket in which a collector has made so many requests, and the collector."""
    bucket = MemoryBucket()
    before(bucket, pushing)
    bucket.now += 60 * DAY_S
    collector = Actor(bucket, lambda seen: collect(seen, KEEP_A_MONTH))
    for _ in range(num_requests):
        if not collector.is_over:
            collector.step()
    return bucket, collector


@pytest.mark.parametrize("before", BEFORE)
def test_a_collector_that_is_killed_at_any_request_leaves_what_pushes_and_collectors_go_on_from(
    before: Before, pushing: Pushing
):
    number, is_over = 0, False
    while not is_over:
        number += 1
        bucket, collector = run_one(before, pushing, number)
        is_over = collector.is_over
        collector.kill()
        require_payloads(bucket)
        bucket.now += DAY_S / 12  # what it has marked is not taken for its any more
        pushing.push(bucket)
        require_payloads(bucket)
        for _ in range(3):
            bucket.now += 40 * DAY_S
            collect(bucket, GARBAGE_ALONE)
        (content,) = [each for name, each in names_of(bucket, "artifacts").items() if name == pushing.name()]
        assert Entry.from_bytes(content).manifest == pushing.entries[0].manifest
        assert sum(map(len, names_of(bucket, "payloads").values())) == len(PAYLOAD)  # and no other copy
        assert not names_of(bucket, "clocks")


@pytest.mark.parametrize("before", BEFORE)
def test_a_collector_whose_machine_slept_for_days_deletes_no_payload_that_was_pushed_meanwhile(
    before: Before, pushing: Pushing
):
    number, is_over = 0, False
    while not is_over:
        number += 1
        bucket, asleep = run_one(before, pushing, number)
        is_over = asleep.is_over
        bucket.now += 2 * DAY_S
        collect(bucket, KEEP_A_MONTH)
        bucket.now += 2 * DAY_S
        collect(bucket, KEEP_A_MONTH)
        pushing.push(bucket)
        while not asleep.is_over:
            asleep.step()
            require_payloads(bucket)


def test_a_push_between_two_collectors_is_there_or_is_said_not_to_be(pushing: Pushing):
    num_collected, has_collected = 0, False
    while not has_collected:
        num_pushed, has_pushed = 0, False
        while not has_pushed:
            bucket, collector = run_one(unused, pushing, num_collected)
            has_collected = collector.is_over
            collect(bucket, KEEP_A_MONTH)
            pusher = Actor(bucket, pushing.push)
            for _ in range(num_pushed):
                if not pusher.is_over:
                    pusher.step()
            has_pushed = pusher.is_over
            collector.finish()
            while not pusher.is_over:
                pusher.step()
            require_payloads(bucket)
            assert isinstance(pusher.error, BeingCollectedError) or pushing.name() in bucket.objects
            num_pushed += 1
        num_collected += 1


@pytest.mark.parametrize("before", [garbage, part, unused_twin])
def test_a_collector_that_falls_asleep_in_the_middle_of_a_push_deletes_nothing_of_it_when_it_wakes(
    before: Before, pushing: Pushing
):
    num_pushed, has_pushed = 0, False
    while not has_pushed:
        num_collected, has_collected = 0, False
        while not has_collected:
            bucket, collector = run_one(before, pushing, 0)
            pusher = Actor(bucket, pushing.push)
            for actor, number in ((pusher, num_pushed), (collector, num_collected)):
                for _ in range(number):
                    if not actor.is_over:
                        actor.step()
            has_pushed, has_collected = pusher.is_over, collector.is_over
            pusher.finish()
            bucket.now += 2 * DAY_S
            collector.finish()
            require_payloads(bucket)
            assert pushing.name() in bucket.objects
            num_collected += 1
        num_pushed += 1


def test_two_collectors_at_once_delete_what_one_would(pushing: Pushing):
    left = []
    for number in (1, 2):
        bucket = MemoryBucket()
        unused(bucket, pushing)
        garbage(bucket, pushing)
        bucket.now += 60 * DAY_S
        actors = [Actor(bucket, lambda seen: collect(seen, KEEP_A_MONTH)) for _ in range(number)]
        while not all(actor.is_over for actor in actors):
            for actor in actors:
                if not actor.is_over:
                    actor.step()
        for actor in actors:
            actor.finish()
        left.append({name for name in bucket.objects if ".collected" not in name})
    assert left[0] == left[1]


def test_a_run_that_has_read_of_an_artifact_can_fetch_it_for_the_grace_time(pushing: Pushing):
    bucket = MemoryBucket()
    pushing.push(bucket)
    bucket.now += 60 * DAY_S
    reader = Actor(bucket, read)
    for _ in range(3):  # it lists both kinds, and reads the small object
        reader.step()
    collect(bucket, KEEP_A_MONTH)
    assert names_of(bucket, "artifacts") == {}
    bucket.now += DAY_S - 60
    collect(bucket, KEEP_A_MONTH)
    reader.finish()


def test_a_collector_whose_time_is_wrong_goes_by_the_time_of_the_bucket(
    pushing: Pushing, monkeypatch: pytest.MonkeyPatch
):
    bucket = MemoryBucket()
    pushing.push(bucket)
    monkeypatch.setattr("time.time", lambda: 1e12)
    collect(bucket, Rules(keep_s=0.0))
    assert pushing.name() in bucket.objects


@pytest.mark.usefixtures("s3")
@pytest.mark.processes
def test_on_an_s3_what_goes_is_gone_and_the_marks_of_payloads_stay(pushing: Pushing):
    bucket = open_bucket(read_address(f"s3://{BUCKET}/collected"))
    for number in range(2):
        pushing.push(bucket, number)
    everything = Rules(keep_s=-5.0, grace_s=-5.0)  # also what was put just now
    collect(bucket, everything)
    assert not [*bucket.list("artifacts"), *bucket.list("uses"), *bucket.list("clocks")]
    assert sum(each.size_bytes for each in bucket.list("payloads")) == len(PAYLOAD)
    collect(bucket, everything)
    assert [".collected-" in each.name for each in bucket.list("payloads")] == [True]
    pushing.push(bucket)
    (entry,) = bucket.list("artifacts")
    assert entry.name == pushing.name()
    read(bucket)
