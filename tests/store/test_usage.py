"""When artifacts were last used, and what it took to make them."""

import json
import os
from pathlib import Path

import pytest

from stages.store.artifacts import Store
from stages.store.inputs import check_inputs
from stages.store.manifest import COLLECTED, RUN
from stages.store.usage import read_rebuild_s, record_use, run_file
from stages.store.video_links import VideoLinks
from tests.builders import build_chain, build_node, collect, publish

LONG_AGO = 10**9


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def age(*folders: Path) -> None:
    for folder in folders:
        os.utime(folder / RUN, (LONG_AGO, LONG_AGO))


def last_use(folder: Path) -> float:
    return (folder / RUN).stat().st_mtime


def test_reading_an_artifact_is_a_use_of_it(store: Store):
    encode, denoise = build_chain()
    publish(store, encode)
    publish(store, denoise)
    folders = [store.folder(node.artifact) for node in (encode, denoise)]
    age(*folders)
    check_inputs(store, denoise)
    assert [last_use(folder) > LONG_AGO for folder in folders] == [True, False]


def test_a_verdict_is_no_use(store: Store):
    node = build_node()
    publish(store, node)
    age(store.folder(node.artifact))
    store.verdict(node, store.present_manifest(node.artifact).code)
    assert last_use(store.folder(node.artifact)) == LONG_AGO


def test_making_a_link_to_a_video_is_a_use_of_it(store: Store):
    node = build_node("export")
    publish(store, node)
    age(store.folder(node.artifact))
    VideoLinks(store, suffix=".mp4").point_to("demo", node.artifact)
    assert last_use(store.folder(node.artifact)) > LONG_AGO


def test_a_use_that_cannot_be_noted_stops_nothing(tmp_path: Path):
    record_use(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("run", "seconds"),
    [
        ({"wall_s": {"load": 0.5, "denoise": 3}}, 3.5),
        ({"wall_s": {"download": 900.0, "denoise": 3.0}}, 3.0),
        ({"wall_s": {"denoise": 3.0}, "wall_s_of_pieces_before": 7.5}, 10.5),
        ({"wall_s": {"denoise": 3.0}, "wall_s_of_pieces_before": "long"}, None),
        ({"wall_s": {}}, None),
        ({"wall_s": 3.0}, None),
        ({"wall_s": {"denoise": "3"}}, None),
        ({"wall_s": {"denoise": -1}}, None),
        ({"wall_s": {"denoise": float("inf")}}, None),
        ({"wall_s": {"denoise": True}}, None),
        ({"wall_s": {"denoise": 10**400}}, None),
        ({"wall_s": {"denoise": 3.0}, "wall_s_of_pieces_before": 10**400}, None),
        ({"wall_s": {"denoise": 10**12}}, 1e12),
        ({"host": "here"}, None),
        ([], None),
    ],
)
def test_what_it_took_is_the_sum_of_all_phases_but_the_download(tmp_path: Path, run: object, seconds: float | None):
    (tmp_path / RUN).write_text(json.dumps(run))
    assert read_rebuild_s(tmp_path / RUN) == seconds


@pytest.mark.parametrize("text", ["", "{", "\0", "[" * 100_000])
def test_a_damaged_file_says_nothing(tmp_path: Path, text: str):
    (tmp_path / RUN).write_text(text)
    assert read_rebuild_s(tmp_path / RUN) is None


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / RUN)
    assert read_rebuild_s(tmp_path / RUN) is None


def test_of_a_collected_artifact_it_is_found_under_its_new_name(store: Store):
    node = build_node()
    publish(store, node)
    folder = store.folder(node.artifact)
    assert run_file(folder) == folder / RUN
    collect(store, node)
    assert run_file(folder) == folder / COLLECTED
