"""A survey takes its answers from the store, and starts a process for those that are not there."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.errors import CheckpointError, MeshError, ParamsError, StageError, StoreError
from stages.keys import ArtifactId, Key
from stages.pipeline.stages import Pipeline
from stages.preflight import survey as preflight_survey
from stages.preflight.answers import Row
from stages.preflight.questions import ask, describe_target
from stages.preflight.survey import survey
from stages.request.params import load_params
from stages.store.artifacts import Store
from tests.preflight_builders import build_figures, publish_answer, write_project

pytestmark = pytest.mark.compiles

SLICE = "v5e:2x4"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def look(
    root: Path, *names: str, topology: str = SLICE, observed: list[str] | None = None, **overrides: str
) -> tuple[Row, ...]:
    dotted = {name.replace("__", "."): text for name, text in overrides.items()}
    return survey(root, names, topology, dotted, (observed if observed is not None else []).append).rows


def answer(root: Path, overrides: Mapping[str, str], **figures: float) -> None:
    """Put the answers for these parameters into the store."""
    params = load_params(root, overrides, Pipeline())
    for question in ask(params.videos["demo"], root, describe_target(SLICE, params.machine), mesh=params.machine.mesh):
        publish_answer(root, question, build_figures(**figures))


def has_started_a_process(root: Path) -> bool:
    return (root / "artifacts" / "logs").exists()


def test_a_program_for_this_machine_is_compiled_once(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # half the time
    observed: list[str] = []
    first = look(root, topology="", observed=observed)
    assert [row.question.stage for row in first] == ["denoise", "decode"]
    assert all(row.fits for row in first)
    assert observed[0] == "denoise of demo: starting"
    assert observed[-1] == "decode of demo: compiling"
    shutil.rmtree(root / "artifacts" / "logs")
    again = look(root, topology="")
    assert [row.to_json() for row in again] == [row.to_json() for row in first]
    assert not has_started_a_process(root)


def test_a_program_for_a_slice_is_compiled_without_a_tpu(root: Path):
    pytest.importorskip("libtpu")
    (row,) = look(root, topology="v6e:2x4", decode__decoder="diffusers")
    assert row.figures is not None
    assert row.figures["device_kind"] == "TPU v6 lite"
    assert row.fits
    assert row.total_bytes
    assert row.least_s is not None


def test_what_the_store_knows_starts_no_process(root: Path):
    answer(root, {})
    assert [row.question.stage for row in look(root)] == ["denoise", "decode"]
    assert not has_started_a_process(root)


def test_videos_with_the_same_programs_share_a_row(tmp_path: Path):
    root = write_project(tmp_path, "demo", "other")
    answer(root, {})
    assert [row.videos for row in look(root)] == [("demo", "other")] * 2


def test_only_the_named_videos_are_asked_for(tmp_path: Path):
    root = write_project(tmp_path, "demo", "other")
    answer(root, {})
    assert {row.videos for row in look(root, "other")} == {("other",)}


def test_settings_that_fit_are_found_where_a_program_does_not(root: Path):
    answer(root, {"denoise.num_frames": "241", "decode.enable_tiling": "true"}, temporaries=5)
    answer(root, {"denoise.num_frames": "241"}, temporaries=27)
    answer(root, {"denoise.num_frames": "113"}, temporaries=14)  # what the estimate says first does not fit
    answer(root, {"denoise.num_frames": "109"}, temporaries=13)
    denoise, decode = look(root, denoise__num_frames="241")
    assert not denoise.fits
    assert [other.setting for other in denoise.alternatives] == ["denoise.num_frames=109"]
    assert [other.setting for other in decode.alternatives] == ["decode.enable_tiling=true", "denoise.num_frames=109"]


def test_what_the_compiler_refuses_is_an_answer(root: Path):
    pytest.importorskip("libtpu")
    save_file({"latents": np.zeros((1, 32, 1, 256, 256), np.float32)}, root / "latents.safetensors")
    (row,) = look(root, topology="v5e:1x1", denoise__from_file="latents.safetensors")
    assert (row.fits, row.error) == (False, "")
    assert row.figures is not None
    assert "Ran out of memory" in row.figures["refusal"]
    assert row.figures["limit_bytes"] == int(15.75 * 2**30)


def break_checkpoint(root: Path, component: str, old: str, new: str) -> None:
    config = root / "model" / component / "config.json"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))


def test_a_program_that_cannot_be_compiled_is_a_row_and_hides_no_other(tmp_path: Path):
    pytest.importorskip("libtpu")
    root = write_project(tmp_path, "demo", "other")
    answer(root, {})  # with the settings as they are, so that decode need not be compiled
    break_checkpoint(root, "transformer", '"num_layers": 2', '"num_layers": 0')
    (denoise, decode) = look(root)
    assert denoise.figures is None
    assert "Traceback" in denoise.traceback
    assert "in parse_transformer_config" in denoise.traceback  # of the process that compiles
    assert denoise.error.startswith(
        f"denoise of demo, other for {SLICE}, checkpoint model: CheckpointError: transformer/config.json"
    )
    assert (decode.fits, decode.error, decode.traceback) == (True, "", "")


def test_an_error_in_search_of_alternatives_is_shown_beside_what_was_found(root: Path):
    answer(root, {"denoise.num_frames": "241"}, temporaries=27)
    (root / "artifacts" / "logs").write_text("no folder")  # no process can be started
    denoise, _ = look(root, denoise__num_frames="241")
    assert denoise.figures is not None
    assert denoise.error.startswith(
        "denoise of demo with denoise.num_frames=113 for v5e:2x4, checkpoint model: preflight:"
    )
    assert ": its process cannot be started (" in denoise.error
    assert "FileExistsError" in denoise.traceback
    assert denoise.error.endswith(
        "Look for room for its log, in "
        f"{root / 'artifacts' / 'logs'}, for memory, and for the number of processes that you may have."
    )


def test_settings_that_cannot_be_read_name_the_video(root: Path):
    found = survey(root, (), SLICE, {"model.checkpoint": "org/model"}, print)
    assert found.rows == ()
    (error,) = found.faults.values()
    assert isinstance(error, CheckpointError)
    assert str(error).startswith("demo: model.checkpoint = 'org/model': its transformer/config.json")


def test_what_is_wrong_with_one_video_keeps_no_other_from_being_asked_for(tmp_path: Path):
    root = write_project(tmp_path, "demo", "other")
    answer(root, {})
    (root / "params/videos/broken.toml").write_text("=")
    (root / "params/videos/other.toml").write_text('[model]\ncheckpoint = "gone"\n[encode]\nprompt = "x"\n')
    found = survey(root, (), SLICE, {}, print)
    assert [row.videos for row in found.rows] == [("demo",), ("demo",)]
    assert found.faults.keys() == {"broken", "other"}
    assert survey(root, ["demo"], SLICE, {}, print).faults == {}
    assert survey(root, ["broken"], SLICE, {}, print).faults.keys() == {"broken"}


def test_decoders_that_are_not_compiled_are_named(tmp_path: Path):
    root = write_project(tmp_path, "demo", "other")
    answer(root, {})
    found = survey(root, (), SLICE, {"decode.decoder": "diffusers", "video": "other"}, print)
    assert found.not_compiled == {"diffusers": ("other",)}
    assert [(row.question.stage, row.videos) for row in found.rows] == [
        ("denoise", ("demo", "other")),
        ("decode", ("demo",)),
    ]


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000])
def test_a_damaged_run_json_takes_nothing_from_an_answer(root: Path, content: str):
    answer(root, {})
    whole = look(root)
    for damaged in (root / "artifacts" / "preflight").glob("*/run.json"):
        damaged.write_text(content)
    assert [row.figures for row in look(root)] == [row.figures for row in whole]
    assert [row.run for row in look(root)] == [{}, {}]


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_a_damaged_answer_is_one_message(root: Path, content: bytes):
    answer(root, {})
    store = Store(root / "artifacts")
    (damaged, _) = sorted((root / "artifacts" / "preflight").iterdir())
    node = store.present_manifest(ArtifactId("preflight", Key(damaged.name))).node
    with store.draft() as draft:  # as a program would that writes no answer
        (draft / "figures.json").write_bytes(content)
        code = store.present_manifest(node.artifact).code
        store.publish(node, draft, payload="figures.json", inputs={}, code=code, run={})
    with pytest.raises(StoreError, match=r"figures.json: cannot be read .* Delete .*; it is made again\."):
        look(root)


def test_an_unknown_video_is_one_message(root: Path):
    with pytest.raises(ParamsError) as caught:
        look(root, "dem")
    assert str(caught.value) == "dem: there is no params/videos/dem.toml. Did you mean `demo`?"


def test_an_unknown_slice_is_an_error_before_anything_starts(root: Path):
    with pytest.raises(MeshError, match="v5e:2x5: not a slice of TPUs that preflight knows"):
        look(root, topology="v5e:2x5")
    assert not has_started_a_process(root)


def test_elsewhere_than_in_a_project_is_one_message(tmp_path: Path):
    with pytest.raises(ParamsError) as caught:
        survey(tmp_path, (), "", {}, print)
    assert str(caught.value) == f"{tmp_path}: holds no params/. Run this in the folder of dodo.py."


def test_a_missing_compiler_is_an_error_with_the_command_that_installs_it(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preflight_survey, "find_spec", {}.get)
    with pytest.raises(StageError) as caught:
        look(root)
    assert str(caught.value) == (
        f"--topology {SLICE}: the TPU compiler, libtpu, is not installed. It needs no TPU, but Linux on x86-64: "
        "pip install -e '.[preflight]'"
    )
