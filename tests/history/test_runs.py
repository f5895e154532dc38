"""What a store's run.json files say of the runs that were."""

import json
from pathlib import Path

import numpy as np
import pytest

from stages.geometry import VideoSize
from stages.history.runs import Place, read_runs, size_of_latents
from stages.keys import Node
from stages.store.artifacts import Store
from stages.store.inventory import take_inventory
from stages.store.manifest import RUN
from stages.tensors.files import write_tensors
from tests.builders import PIPELINE, build_node, collect
from tests.history.past_runs import HERE, SETTINGS, SMALL, record, runs_of

SIZE = {"num_frames": 9, "height": 96, "width": 96}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def denoise(store: Store, **facts: object) -> Node:
    encode = record(store, build_node("encode", prompt="A circle."), wall_s={"load": 3.0, "encode": 1.0})
    return record(store, build_node("denoise", inputs={"encode": encode.key}, **SIZE), **facts)


def test_a_run_is_taken_apart_into_what_later_ones_save_and_what_they_do_not(store: Store):
    denoise(store, compile_s=20.0, was_loaded=False, programs=["p"])
    run = runs_of(store.root)["denoise"]
    parts = (run.start_s, run.load_s, run.compile_s, run.getting_s, run.rest_s)
    assert parts == (5.0, 3.0, 30.0, 20.0, 3.0)
    assert (run.was_compiled, run.is_first, run.programs, run.place) == (True, True, ("p",), HERE)
    assert (run.step_s, run.peak_memory_bytes, run.total_s) == (0.1, 2**20, 41.0)


def test_a_loaded_program_was_not_compiled(store: Store):
    denoise(store, compile_s=0.5, was_loaded=True, programs=["p"])
    run = runs_of(store.root)["denoise"]
    assert (run.was_compiled, run.getting_s) == (False, 0.5)


def test_a_download_is_no_part_of_a_run(store: Store):
    denoise(store, wall_s={"download": 1000.0, "load": 3.0, "denoise": 2.0}, job_s=1006.0)
    assert runs_of(store.root)["denoise"].rest_s == 3.0


def test_a_run_json_of_before_says_less_and_counts_all_the_same(store: Store):
    node = denoise(store)
    path = store.folder(node.artifact) / RUN
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({name: facts[name] for name in ("host", "device", "machine", "wall_s")}))
    run = runs_of(store.root)["denoise"]
    assert (run.is_first, run.start_s, run.rest_s, run.step_s, run.peak_memory_bytes) == (None, 0.0, 2.0, None, None)


def test_a_collected_artifact_counts(store: Store):
    collect(store, denoise(store))
    assert "denoise" in runs_of(store.root)


def test_all_stages_of_a_video_have_its_size(store: Store):
    latents = denoise(store)
    record(store, build_node("decode", inputs={"denoise": latents.key}, decoder="native"))
    assert [runs_of(store.root)[stage].work.size for stage in ("denoise", "decode")] == [SMALL, SMALL]


def test_latents_from_elsewhere_say_the_size_themselves(tmp_path: Path):
    file = tmp_path / "latents.safetensors"
    write_tensors(file, {"latents": np.zeros((1, 32, 3, 4, 5), np.float32)})
    assert size_of_latents(file) == VideoSize(9, 64, 80)
    assert size_of_latents(tmp_path / "gone") is None


def test_a_mesh_is_the_number_of_its_devices(store: Store):
    denoise(store, device="TPU v6 lite", mesh={"cfg": 2, "sequence": 2, "heads": 2})
    place = runs_of(store.root)["denoise"].place
    assert (place, place.num_chips) == (Place("here", "TPU v6 lite", 8, SETTINGS), 8)


def test_processors_are_no_chips():
    assert HERE.num_chips == 0


def test_a_denoise_that_went_on_after_an_interruption_does_not_count(store: Store):
    denoise(store, resumed_after_step=4)
    assert "denoise" not in runs_of(store.root)


def test_stages_that_the_project_does_not_have_do_not_count(store: Store):
    record(store, build_node("encode"))
    (store.root / "encode").rename(store.root / "other")
    assert read_runs(store.root, take_inventory(store.root), PIPELINE) == []


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"wall_s": {"load": "long"}}', '{"wall_s": {"load": -1}}', '{"wall_s": {"load": true}}', "\0"],
)
def test_what_is_no_run_json_says_nothing(store: Store, content: str):
    node = denoise(store)
    (store.folder(node.artifact) / RUN).write_text(content)
    assert "denoise" not in runs_of(store.root)


@pytest.mark.parametrize("facts", [{"job_s": 1e300}, {"mesh": [1]}, {"machine": 3}, {"steady_s": {"step": None}}])
def test_a_run_json_that_somebody_has_edited_says_nothing(store: Store, facts: dict[str, object]):
    denoise(store, **facts)
    assert "denoise" not in runs_of(store.root)


@pytest.mark.parametrize("started", ["yesterday", "2026-01-01T00:00:00"])
def test_a_time_that_is_none_or_of_an_unknown_zone_says_nothing(store: Store, started: str):
    denoise(store, started=started)
    assert "denoise" not in runs_of(store.root)


def build_encodes(store: Store, *starts: str) -> dict[int, float | None]:
    """By number in its process, the gap after each of some encodes of 1.5 s that began at these seconds."""
    for number, start in enumerate(starts, 1):
        node = build_node("encode", prompt=f"{number}")
        started = f"2026-01-01T00:00:{start}+00:00"
        record(store, node, number_in_process=number, started=started, wall_s={"encode": 1.0}, job_s=1.5)
    runs = read_runs(store.root, take_inventory(store.root), PIPELINE)
    return {run.number or 0: None if run.gap_s is None else round(run.gap_s, 3) for run in runs}


def test_what_lies_between_two_jobs_of_a_process_is_known(store: Store):
    assert build_encodes(store, "10.000", "11.750", "13.500") == {1: 0.25, 2: 0.25, 3: None}


def test_clocks_that_went_back_give_no_time_below_zero(store: Store):
    assert build_encodes(store, "10.000", "10.500") == {1: 0.0, 2: None}


def test_between_jobs_of_two_processes_nothing_is_known(store: Store):
    assert build_encodes(store, "20.000", "10.000") == {1: None, 2: None}


def test_a_run_that_does_not_say_when_it_began_has_no_gap(store: Store):
    encode = build_node("encode", prompt="1")
    record(store, encode, started="")
    record(store, build_node("encode", prompt="2"), number_in_process=2)
    assert [run.gap_s for run in read_runs(store.root, take_inventory(store.root), PIPELINE)] == [None, None]
