"""Where the bytes of a store are."""

from pathlib import Path

import pytest

from stages.store.artifacts import Store
from stages.store.leftovers import size_of_folder
from stages.store.manifest import MANIFEST
from stages.store.space import measure
from tests.builders import collect
from tests.store.inventories import build_video, fill, ids

STAGES = ("encode", "denoise", "decode", "export")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def size(store: Store, *artifacts: object) -> int:
    return sum(size_of_folder(store.folder(artifact)) for artifact in artifacts)


def test_each_artifact_is_wanted_or_pinned_or_the_rest(store: Store):
    wanted, pinned, rest = (build_video(seed=seed) for seed in (1, 2, 3))
    fill(store, wanted, pinned, rest)
    space = measure(store.root, dict.fromkeys(ids(wanted), ("demo",)), {pinned["export"].artifact}, STAGES)
    assert space.sum_of("wanted") == size(store, *ids(wanted))
    assert space.sum_of("pinned") == size(store, *ids(pinned, "denoise", "decode", "export"))
    assert space.sum_of("rest") == size(store, *ids(rest, "denoise", "decode", "export"))
    assert space.stages["decode"]["rest"] == (1, size(store, *ids(rest, "decode")))


def test_what_several_videos_share_is_counted_once(store: Store):
    demo, slow = build_video(fps=8), build_video(fps=4)
    fill(store, demo, slow)
    wanted = dict.fromkeys(ids(demo, "encode", "denoise", "decode"), ("demo", "slow"))
    wanted |= {demo["export"].artifact: ("demo",), slow["export"].artifact: ("slow",)}
    space = measure(store.root, wanted, frozenset(), STAGES)
    assert space.videos == {
        name: size(store, video["export"].artifact) for name, video in (("demo", demo), ("slow", slow))
    }
    assert space.shared_bytes == size(store, *ids(demo, "encode", "denoise", "decode"))
    assert sum(space.videos.values()) + space.shared_bytes == space.sum_of("wanted")


def test_all_that_is_no_artifact_is_counted_by_what_it_is_and_the_sum_is_that_of_all_files(store: Store):
    video = build_video()
    fill(store, video)
    collect(store, video["decode"])
    places = {
        "partial/denoise/x/state": "partial states",
        ".drafts/x/new/half": "drafts",
        ".executables/x": "compiled programs",
        ".remote/x/payload": "remote transfers",
        "preflight/x/figures.json": "answers of doit preflight",
        "logs/x.log": "logs",
        "previews/denoise/x/strip.webp": "previews",
        "posters/x/strip.webp": "pictures of videos",
        "report/videos/demo.html": "the report",
        "videos/own.mp4": "own files among the videos",
    }
    for number, place in enumerate(places, 1):
        (store.root / place).parent.mkdir(parents=True, exist_ok=True)
        (store.root / place).write_text("x" * number)
    (store.root / "pins").mkdir()
    (store.root / "pins/one.json").write_text("x" * 100)
    (store.root / ".stat-cache.json").write_text("x" * 1000)
    (store.root / "decode/notes.txt").write_text("x" * 10_000)
    space = measure(store.root, {}, frozenset(), STAGES)
    assert space.folders == {what: number for number, what in enumerate(places.values(), 1)}
    assert (space.record_bytes, space.other_bytes) == (1100, 10_000)
    assert space.total_bytes == size_of_folder(store.root)


def test_what_cannot_be_read_is_counted_and_named(store: Store):
    video = build_video()
    fill(store, video)
    (store.folder(video["export"].artifact) / MANIFEST).write_text("{")
    space = measure(store.root, {}, frozenset(), STAGES)
    assert space.sum_of("unreadable") == size(store, video["export"].artifact)
    assert space.unreadable == [store.folder(video["export"].artifact)]


def test_a_store_that_is_not_there_holds_nothing(store: Store):
    space = measure(store.root, {}, frozenset(), STAGES)
    assert space.total_bytes == 0
    assert [*space.stages] == [*STAGES]


def test_as_json_every_size_has_a_name(store: Store):
    fill(store, build_video())
    found = measure(store.root, {}, frozenset(), STAGES).to_json()
    assert found["stages"]["encode"]["rest"]["artifacts"] == 1
    assert {
        "total",
        "wanted",
        "pinned",
        "rest",
        "unreadable",
        "videos",
        "shared",
        "partial_states",
        "drafts",
        "compiled_programs",
        "remote_transfers",
        "answers_of_doit_preflight",
        "logs",
        "previews",
        "pictures_of_videos",
        "the_report",
        "own_files_among_the_videos",
        "records",
        "other",
        "unreadable_folders",
        "stages",
    } == {*found}
