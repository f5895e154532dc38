"""Artifacts by video and prompt."""

from pathlib import Path

import pytest

from stages.store.artifacts import Store
from stages.store.inventory import take_inventory
from stages.store.listing import describe, list_by_video, prompt_of
from tests.builders import build_node, publish
from tests.store.inventories import DAY, NOW, build_video, fill, ids, set_age, set_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def test_artifacts_of_one_prompt_stand_together_the_largest_first(store: Store):
    small, large = build_video(prompt="small"), build_video(prompt="large")
    inventory = fill(store, small, large)
    groups = list_by_video(inventory, [*ids(small, "denoise", "export"), *ids(large, "decode")], {})
    assert [group.prompt for group in groups] == ['"large"', '"small"']
    assert {line.artifact for line in groups[1].lines} == {*ids(small, "denoise", "export")}


def test_a_group_has_the_names_of_all_videos_with_its_prompt(store: Store):
    """The old artifact of a video whose seed was changed does not know whose it was."""
    before, now = build_video(seed=1), build_video(seed=2)
    inventory = fill(store, before, now)
    names = {now["export"].artifact: {"demo"}, now["encode"].artifact: {"demo", "slow"}}
    (group,) = list_by_video(inventory, ids(before, "decode"), names)
    assert group.names == ("demo", "slow")
    assert group.title == 'demo, slow: "A circle."'


def test_a_prompt_is_found_though_what_it_was_made_from_was_collected(store: Store):
    video = build_video(prompt="A  red\ncircle.")
    inventory = fill(store, video)
    assert prompt_of(inventory, video["export"].artifact) == '"A red circle."'


def test_of_what_has_no_prompt_it_is_said_where_it_is_from(store: Store):
    outside = build_node("denoise", from_file="f" * 32)
    alone = build_node("decode", inputs={"denoise": outside.key})
    publish(store, outside)
    publish(store, alone)
    inventory = take_inventory(store.root)
    assert prompt_of(inventory, alone.artifact) == f"from a file with xxh3 {'f' * 32}"
    assert prompt_of(inventory, build_node("export").artifact) == "of an unknown prompt"


def test_a_line_says_bytes_last_use_and_what_having_it_again_costs(store: Store):
    video = build_video(prompt="x" * 100)
    fill(store, video, age_s=2 * DAY)
    set_run(store, video["denoise"])
    set_age(store, video["denoise"], DAY)
    (group,) = list_by_video(take_inventory(store.root), ids(video, "decode", "denoise"), {})
    denoise, decode = video["denoise"].artifact.title, video["decode"].artifact.title
    assert describe(group, now=NOW) == [
        f'"{"x" * 58}… (100 kB)',
        f"  {decode:<22}   100 kB  used 2 d ago, 50 s to have it again",
        f"  {denoise:<22}     96 B  used 1 d ago, nobody knows what it costs to have it again",
    ]


def test_an_estimate_is_called_one(store: Store):
    measured, guessed = build_video(seed=1), build_video(seed=2)
    fill(store, measured, guessed, age_s=DAY)
    set_run(store, guessed["denoise"])
    set_age(store, guessed["denoise"], 60.0)
    (group,) = list_by_video(take_inventory(store.root), ids(guessed, "denoise"), {})
    assert describe(group, now=NOW)[1].endswith("used 1 min ago, about 16 min 40 s to have it again")


def test_a_prompt_gives_no_orders_to_a_terminal(store: Store):
    video = build_video(prompt="\x1b[2Jcleared")
    fill(store, video)
    assert prompt_of(take_inventory(store.root), video["encode"].artifact) == '"\\x1b[2Jcleared"'


def test_what_a_video_alone_was_made_from_has_its_name_and_not_that_of_others_with_its_prompt(store: Store):
    demo, slow = build_video(seed=1), build_video(seed=2)
    inventory = fill(store, demo, slow)
    names = {demo["export"].artifact: {"demo"}, slow["export"].artifact: {"slow"}}
    groups = list_by_video(inventory, [*ids(slow, "encode", "decode"), *ids(demo, "decode")], names)
    found = {line.artifact: group.names for group in groups for line in group.lines}
    assert found == {
        slow["encode"].artifact: ("demo", "slow"),  # which both were made from
        slow["decode"].artifact: ("slow",),
        demo["decode"].artifact: ("demo",),
    }
