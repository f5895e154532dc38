"""A survey takes its answers from the store, and starts a process for those that are not there."""

import re
import shutil
from collections.abc import Mapping, Sequence
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
from tests.devices import TPU_COMPILER
from tests.known_files import know_package
from tests.preflight_builders import VIDEO, build_figures, publish_answer
from tests.preflight_builders import write_project as write_bare_project

pytestmark = pytest.mark.compiles

SLICE = "v5e:2x4"
SMALL_SLICE = "v5e:2x2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path, "demo")


def write_project(folder: Path, *videos: str) -> Path:
    """A project whose store knows the package's files."""
    return know_package(write_bare_project(folder, *videos))


def look(
    root: Path, *names: str, topology: str = SLICE, observed: list[str] | None = None, **overrides: str
) -> tuple[Row, ...]:
    dotted = {name.replace("__", "."): text for name, text in overrides.items()}
    return survey(root, names, topology, dotted, (observed if observed is not None else []).append).rows


def answer(
    root: Path,
    overrides: Mapping[str, str],
    *,
    topology: str = SLICE,
    stages: Sequence[str] = ("denoise", "decode"),
    **figures: float,
) -> None:
    """Put the answers for these parameters into the store."""
    params = load_params(root, overrides, Pipeline())
    target = describe_target(topology, params.machine)
    for question in ask(params.videos["demo"], root, target, mesh=params.machine.mesh):
        if question.stage in stages:
            publish_answer(root, question, build_figures(**figures))


def has_started_a_process(root: Path) -> bool:
    return (root / "artifacts" / "logs").exists()


def test_a_program_for_this_machine_is_compiled_once(root: Path):
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


@pytest.fixture(scope="module")
def on_slice(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Row]:
    """Rows of one survey for a small slice, by stage and the first of their videos.

    Of its programs one fits, one is refused, one cannot be compiled, and one the store knows.
    """
    pytest.importorskip("libtpu")
    root = write_project(tmp_path_factory.mktemp("slice"), "demo")
    save_file({"latents": np.zeros((1, 32, 1, 512, 512), np.float32)}, root / "latents.safetensors")
    large = VIDEO.replace("[denoise]", '[denoise]\nfrom_file = "latents.safetensors"')
    (root / "params/videos/large.toml").write_text(large)
    shutil.copytree(root / "model", root / "broken")
    config = root / "broken/transformer/config.json"
    text, number = re.subn('"num_layers": 2', '"num_layers": 0', config.read_text())
    assert number == 1
    config.write_text(text)
    for name in ("broken", "other"):
        (root / f"params/videos/{name}.toml").write_text(VIDEO.replace('"model"', '"broken"'))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JAX_EXEC_TIME_OPTIMIZATION_EFFORT", "JAX_DISABLE_MOST_OPTIMIZATIONS"):
            patch.setenv(name, TPU_COMPILER[name])
        answer(root, {}, topology=SMALL_SLICE, stages=("decode",))
        rows = look(root, topology=SMALL_SLICE)
    return {f"{row.question.stage} of {row.videos[0]}": row for row in rows}


def test_a_program_for_a_slice_is_compiled_without_a_tpu(on_slice: Mapping[str, Row]):
    row = on_slice["denoise of demo"]
    assert row.figures is not None
    assert (row.figures["device_kind"], row.figures["num_devices"]) == ("TPU v5 lite", 4)
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


def test_what_the_compiler_refuses_is_an_answer(on_slice: Mapping[str, Row]):
    row = on_slice["decode of large"]
    assert (row.fits, row.error) == (False, "")
    assert row.figures is not None
    assert "Ran out of memory" in row.figures["refusal"]
    assert row.figures["limit_bytes"] == int(15.75 * 2**30)


def test_a_program_that_cannot_be_compiled_is_a_row_and_hides_no_other(on_slice: Mapping[str, Row]):
    denoise, decode = on_slice["denoise of broken"], on_slice["decode of broken"]
    assert denoise.figures is None
    assert "Traceback" in denoise.traceback
    assert "in parse_transformer_config" in denoise.traceback  # of the process that compiles
    assert denoise.error.startswith(
        f"denoise of broken, other for {SMALL_SLICE}, checkpoint broken: CheckpointError: transformer/config.json"
    )
    assert (decode.videos, decode.fits, decode.error, decode.traceback) == (("broken", "demo", "other"), True, "", "")


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
