"""What an inventory says of a store, and that nothing in it can be mistaken."""

import os
from pathlib import Path

import pytest

from stages.store.artifacts import Store
from stages.store.inventory import take_inventory
from stages.store.manifest import COLLECTED, MANIFEST, RUN
from tests.builders import build_node, collect, publish
from tests.store.inventories import DAY, NOW, SECONDS, build_video, fill, ids, set_age, set_run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def test_a_store_that_is_not_there_is_empty(store: Store):
    assert take_inventory(store.root).entries == {}


def test_every_artifact_is_found_with_its_size_cost_and_use(store: Store):
    video = build_video()
    inventory = fill(store, video, age_s=DAY)
    assert {*inventory.entries} == {*ids(video)}
    entry = inventory.entries[video["decode"].artifact]
    assert entry.payload_bytes == store.payload(entry.artifact).stat().st_size
    assert entry.size_bytes == sum(path.stat().st_size for path in store.folder(entry.artifact).iterdir())
    assert (entry.rebuild_s, entry.last_use) == (SECONDS["decode"], NOW - DAY)
    assert entry.inputs == (video["denoise"].artifact,)
    assert not any((entry.is_forgotten, entry.is_marked, entry.is_remnant, entry.is_from_file))


def test_folders_of_other_things_are_no_artifacts(store: Store):
    publish(store, build_node())
    for name in ("videos", "logs", "preflight", "partial", "pins", ".drafts", "Notes"):
        (store.root / name / ("a" * 32)).mkdir(parents=True)
    (store.root / "encode" / "my-notes").mkdir()
    (store.root / "encode" / ("b" * 32)).write_text("a file")
    (store.root / "decode").write_text("a file")
    assert len(take_inventory(store.root).entries) == 1


def test_a_folder_with_nothing_of_an_artifact_in_it_is_a_persons_own(store: Store):
    folder = store.root / "encode" / ("a" * 32)
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    assert take_inventory(store.root).entries == {}


@pytest.mark.parametrize("name", [MANIFEST, "manifest.forgotten.json"])
@pytest.mark.parametrize("content", ["", "{", "{}", "[" * 100_000, '{"format": 2}'])
def test_of_an_artifact_whose_manifest_cannot_be_read_nothing_is_known(store: Store, name: str, content: str):
    node = build_node()
    publish(store, node)
    (store.folder(node.artifact) / MANIFEST).rename(store.folder(node.artifact) / name)
    (store.folder(node.artifact) / name).write_text(content)
    entry = take_inventory(store.root).entries[node.artifact]
    assert (entry.manifest, entry.payload_bytes, entry.inputs) == (None, None, ())
    assert entry.size_bytes > len("payload")


def test_a_manifest_of_another_artifact_is_none(store: Store):
    one, other = build_node(prompt="one"), build_node(prompt="other")
    publish(store, one)
    store.folder(one.artifact).rename(store.folder(other.artifact))
    assert take_inventory(store.root).entries[other.artifact].manifest is None


def test_a_pipe_in_place_of_a_file_is_not_waited_for(store: Store):
    node = build_node()
    publish(store, node)
    for name in (MANIFEST, RUN):
        (store.folder(node.artifact) / name).unlink()
        os.mkfifo(store.folder(node.artifact) / name)
    entry = take_inventory(store.root).entries[node.artifact]
    assert (entry.manifest, entry.rebuild_s) == (None, None)


def test_a_link_in_place_of_a_payload_is_no_payload(store: Store, tmp_path: Path):
    node = build_node()
    publish(store, node)
    payload = store.payload(node.artifact)
    payload.rename(tmp_path / "elsewhere")
    payload.symlink_to(tmp_path / "elsewhere")
    assert take_inventory(store.root).entries[node.artifact].payload_bytes is None


def test_a_forgotten_artifact_is_known_by_what_it_was(store: Store):
    video = build_video()
    fill(store, video)
    store.forget(video["denoise"].artifact)
    entry = take_inventory(store.root).entries[video["denoise"].artifact]
    assert entry.is_forgotten
    assert entry.inputs == (video["encode"].artifact,)


def test_a_collected_artifact_has_its_manifest_and_cost_and_no_payload(store: Store):
    video = build_video()
    fill(store, video)
    collect(store, video["decode"])
    entry = take_inventory(store.root).entries[video["decode"].artifact]
    assert (entry.payload_bytes, entry.rebuild_s, entry.is_marked, entry.is_remnant) == (None, 50.0, True, False)
    assert entry.manifest is not None


@pytest.mark.parametrize("names", [(), (COLLECTED,), (".checked",), (COLLECTED, ".checked")])
def test_what_a_killed_gc_leaves_of_a_whole_artifact_is_a_remnant(store: Store, names: tuple[str, ...]):
    folder = store.root / "encode" / ("a" * 32)
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    (entry,) = take_inventory(store.root).entries.values()
    assert entry.is_remnant


def test_ancestors_are_all_that_something_was_made_from(store: Store):
    one, other = build_video(seed=1), build_video(seed=2)
    inventory = fill(store, one, other)
    assert inventory.ancestors([one["decode"].artifact]) == {*ids(one, "encode", "denoise", "decode")}
    unknown = build_node("export").artifact
    assert inventory.ancestors([unknown]) == {unknown}


def test_each_artifact_comes_after_what_it_was_made_from(store: Store):
    inventory = fill(store, build_video(seed=1), build_video(seed=2), build_video(seed=2, fps=4))
    place = {artifact: number for number, artifact in enumerate(inventory.in_order)}
    assert place.keys() == inventory.entries.keys()
    for artifact, entry in inventory.entries.items():
        assert all(place[read] < place[artifact] for read in entry.inputs)


def test_what_something_was_made_from_was_used_then(store: Store):
    one, other = build_video(seed=1), build_video(seed=2)
    fill(store, one, other, age_s=9 * DAY)
    set_age(store, other["export"], DAY)
    uses = take_inventory(store.root).last_uses
    assert [uses[artifact] for artifact in ids(one)] == [NOW - DAY, *[NOW - 9 * DAY] * 3]
    assert [uses[artifact] for artifact in ids(other)] == [NOW - DAY] * 4


def test_what_nobody_measured_is_estimated_from_others_of_its_stage(store: Store):
    videos = [build_video(seed=seed) for seed in range(4)]
    fill(store, *videos)
    for seconds, video in zip((1.0, 2.0, 30.0), videos, strict=False):
        set_run(store, video["denoise"], wall_s={"denoise": seconds})
    set_run(store, videos[3]["denoise"])
    inventory = take_inventory(store.root)
    measured, guessed = videos[0]["denoise"].artifact, videos[3]["denoise"].artifact
    assert (inventory.rebuild_s(measured), inventory.is_estimate(measured)) == (1.0, False)
    assert inventory.rebuild_s(guessed) == pytest.approx(2.0)  # the median; all have the same size
    assert inventory.is_estimate(guessed)


def test_where_nobody_measured_anything_the_cost_is_not_known(store: Store):
    node = build_node()
    publish(store, node)
    inventory = take_inventory(store.root)
    assert (inventory.rebuild_s(node.artifact), inventory.is_estimate(node.artifact)) == (None, False)


def test_nobody_knows_whether_a_file_from_elsewhere_is_still_there(store: Store):
    node = build_node("denoise", from_file="f" * 32)
    publish(store, node)
    set_run(store, node, wall_s={"read": 0.1})
    inventory = take_inventory(store.root)
    assert inventory.entries[node.artifact].is_from_file
    assert inventory.rebuild_s(node.artifact) is None


def test_a_use_changes_the_stamp_of_an_artifact_and_so_does_making_it_again(store: Store):
    node = build_node()
    stamps = set()
    for act in (
        lambda: publish(store, node),
        lambda: set_age(store, node, DAY),
        lambda: publish(store, node, b"other"),
    ):
        act()
        stamps.add(take_inventory(store.root).entries[node.artifact].stamp)
    assert len(stamps) == 3


def test_a_link_that_leads_back_to_itself_is_no_artifact_and_stops_nothing(store: Store):
    video = build_video()
    before = fill(store, video)
    (store.root / "artifacts").symlink_to("artifacts")
    (store.root / "encode" / ("f" * 32)).symlink_to("f" * 32)
    assert take_inventory(store.root) == before
