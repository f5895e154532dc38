"""What a gc plans to delete, and in which order."""

import math
from pathlib import Path

import pytest

from stages.keys import ArtifactId
from stages.store.artifacts import Store
from stages.store.collection import Plan, cost_to_have_again, plan_collection
from stages.store.inventory import take_inventory
from stages.store.manifest import MANIFEST
from stages.store.quantities import Limit
from tests.builders import build_node, collect, publish
from tests.store.inventories import DAY, NOW, build_video, fill, ids, set_age, set_run

ALL = Limit(size_bytes=0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def plan(store: Store, limit: Limit | None, *kept: ArtifactId) -> Plan:
    inventory = take_inventory(store.root)
    return plan_collection(inventory, inventory.ancestors(kept), limit, now=NOW)


def test_without_a_limit_no_payload_goes(store: Store):
    fill(store, build_video(), age_s=1000 * DAY)
    assert plan(store, None) == Plan()


def test_what_is_kept_stays_with_all_that_it_was_made_from_whatever_the_limit(store: Store):
    one, other = build_video(seed=1), build_video(seed=2)
    fill(store, one, other, age_s=1000 * DAY)
    assert {*plan(store, ALL, one["export"].artifact).payloads} == {*ids(other, "denoise", "decode", "export")}


def test_frames_go_first_then_what_is_cheapest_per_byte(store: Store):
    """Embeddings cost 10 s for 1000 bytes, a video 2 s for 500 and its frames' 50, latents 1000 s for 100."""
    video = build_video()
    fill(store, video)
    assert plan(store, ALL).payloads == ids(video, "decode", "encode", "export", "denoise")


def test_frames_go_first_though_everything_else_was_not_used_for_years(store: Store):
    old, new = build_video(seed=1), build_video(seed=2)
    fill(store, old, age_s=1000 * DAY)
    fill(store, new, age_s=1.0)
    assert plan(store, ALL).payloads[:2] == (old["decode"].artifact, new["decode"].artifact)


def test_of_artifacts_that_cost_alike_the_least_recently_used_goes_first(store: Store):
    videos = [build_video(seed=seed) for seed in range(5)]
    fill(store, *videos)
    for days, video in zip((3, 1, 5, 2, 4), videos, strict=True):
        for node in video.values():
            set_age(store, node, days * DAY)
    first = plan(store, ALL).payloads[:5]
    assert first == tuple(videos[number]["decode"].artifact for number in (2, 4, 0, 3, 1))


def test_what_is_made_from_something_that_goes_costs_more_from_then_on(store: Store):
    """A video costs 2 s while its frames are there, and 52 s afterwards."""
    gone, staying = build_video(seed=1), build_video(seed=2)
    fill(store, gone, staying, age_s=2 * DAY)
    collect(store, gone["decode"])
    order = plan(store, ALL, staying["decode"].artifact).payloads
    assert order.index(staying["export"].artifact) < order.index(gone["export"].artifact)


def test_no_more_goes_than_the_size_asks_for(store: Store):
    videos = [build_video(seed=seed) for seed in range(3)]
    inventory = fill(store, *videos)
    total = sum(entry.payload_bytes or 0 for entry in inventory.entries.values())
    frames = inventory.entries[videos[0]["decode"].artifact].payload_bytes or 0
    assert plan(store, Limit(size_bytes=total)).payloads == ()
    assert len(plan(store, Limit(size_bytes=total - 1)).payloads) == 1
    assert len(plan(store, Limit(size_bytes=total - frames)).payloads) == 1
    assert len(plan(store, Limit(size_bytes=total - frames - 1)).payloads) == 2


def test_of_an_age_goes_what_was_used_before_it_and_nothing_else(store: Store):
    old, new = build_video(seed=1), build_video(seed=2)
    fill(store, old, age_s=31 * DAY)
    fill(store, new, age_s=29 * DAY)
    assert {*plan(store, Limit(age_s=30 * DAY)).payloads} == {*ids(old, "denoise", "decode", "export")}


def test_what_was_used_in_the_future_counts_as_just_used(store: Store):
    fill(store, build_video(), age_s=-1000 * DAY)
    assert plan(store, Limit(age_s=DAY)) == Plan()


def test_what_nobody_knows_the_cost_of_goes_last(store: Store):
    video, elsewhere = build_video(), build_node("denoise", from_file="f" * 32)
    fill(store, video)
    publish(store, elsewhere)
    set_run(store, elsewhere, wall_s={"read": 0.001})
    set_age(store, elsewhere, 1000 * DAY)
    assert plan(store, ALL).payloads[-1] == elsewhere.artifact


def test_what_cannot_be_read_stays_whatever_the_limit(store: Store):
    node = build_node()
    publish(store, node)
    (store.folder(node.artifact) / MANIFEST).write_text("{}")
    assert plan(store, ALL) == Plan()


def test_a_record_stays_while_something_that_was_made_from_it_does(store: Store):
    video = build_video()
    fill(store, video)
    collect(store, video["denoise"])
    collect(store, video["decode"])
    assert plan(store, None).records == ()
    assert plan(store, Limit(size_bytes=500), video["encode"].artifact).records == ()


def test_of_what_goes_with_all_that_was_made_from_it_no_record_stays(store: Store):
    video = build_video()
    fill(store, video)
    assert plan(store, ALL).records == ids(video, "export", "decode", "denoise", "encode")


def test_a_record_from_which_nothing_was_made_goes_also_without_a_limit(store: Store):
    video = build_video()
    fill(store, video)
    collect(store, video["decode"])
    store.remove(video["export"].artifact)
    assert plan(store, None) == Plan(records=ids(video, "decode"))


def test_of_a_forgotten_artifact_nothing_that_was_made_from_it_holds_the_record(store: Store):
    video = build_video()
    fill(store, video)
    store.forget(video["export"].artifact)
    collect(store, video["decode"])
    assert plan(store, None).records == ids(video, "decode")


def test_the_record_of_what_is_kept_stays_though_nothing_was_made_from_it(store: Store):
    node = build_node()
    publish(store, node)
    collect(store, node)
    assert plan(store, ALL, node.artifact) == Plan()


def test_a_payload_that_somebody_deleted_leaves_no_record_that_may_go(store: Store):
    """It is damaged, and not collected: perhaps it comes back from a backup."""
    node = build_node()
    publish(store, node)
    store.payload(node.artifact).unlink()
    assert plan(store, ALL) == Plan()


def test_a_plan_is_the_same_for_everybody(store: Store):
    fill(store, *(build_video(seed=seed) for seed in range(6)))
    assert plan(store, ALL) == plan(store, ALL)


def test_having_something_again_costs_all_that_is_missing_once(store: Store):
    video = build_video()
    inventory = fill(store, video)
    gone = {*ids(video)}
    assert cost_to_have_again(inventory, ids(video, "export")) == pytest.approx(2)
    assert cost_to_have_again(inventory, ids(video, "export"), ids(video, "decode")) == pytest.approx(52)
    assert cost_to_have_again(inventory, gone, gone) == pytest.approx(10 + 1000 + 50 + 2)


def test_having_something_again_that_needs_what_nobody_can_make_costs_nobody_knows_what(store: Store):
    video = build_video()
    fill(store, video)
    set_run(store, video["denoise"])
    inventory = take_inventory(store.root)
    assert math.isinf(cost_to_have_again(inventory, ids(video, "export"), ids(video)))
    assert cost_to_have_again(inventory, ids(video, "export"), ids(video, "decode")) == pytest.approx(52)
