"""What cannot be made of a checkpoint is known before anything runs, whichever stage would have found it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.errors import CheckpointError
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.models.places import resolve
from stages.run import checks
from stages.run.checks import Reader, collect, find_faults
from stages.run.loading import load_build
from tests.builders import PIPELINE
from tests.chains import build_chain, edit_settings, faults_of
from tests.hub_repo import COMMIT
from tests.hub_server import ask_here, serve
from tests.project import SHAPES, copy_checkpoint, copy_params


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy of the built-in one, to be edited."""
    return copy_checkpoint(tmp_path / "model")


def test_the_built_in_checkpoint_has_no_fault():
    assert faults_of(SHAPES) == []


def test_a_fault_of_a_later_stage_is_found_with_the_first(checkpoint: Path):
    file = checkpoint / "vae" / "config.json"
    edit_settings(file, scaling_factor=0)
    (fault,) = faults_of(checkpoint)
    assert fault.startswith(f"{file}: this checkpoint cannot be run:\n  `scaling_factor` is 0, not a finite number")


def test_faults_of_all_stages_are_found_at_once(checkpoint: Path):
    edit_settings(checkpoint / "text_encoder" / "config.json", architectures=["LlamaModel"])
    edit_settings(checkpoint / "scheduler" / "scheduler_config.json", _class_name="UniPCMultistepScheduler")
    edit_settings(checkpoint / "transformer" / "config.json", use_meanflow=True)
    edit_settings(checkpoint / "guider" / "guider_config.json", guidance_rescale=0.5)
    edit_settings(checkpoint / "vae" / "config.json", _class_name="AutoencoderKLWan")
    assert [fault.partition(":")[0].removeprefix(f"{checkpoint}/") for fault in faults_of(checkpoint)] == [
        "text_encoder/config.json",
        "scheduler/scheduler_config.json",
        "transformer/config.json",
        "guider/guider_config.json",
        "vae/config.json",
    ]


def test_what_is_made_already_is_not_looked_at(checkpoint: Path):
    edit_settings(checkpoint / "scheduler" / "scheduler_config.json", _class_name="UniPCMultistepScheduler")
    assert faults_of(checkpoint, first="decode") == []


def test_a_checkpoint_of_another_pipeline_is_named_and_nothing_else_of_it(checkpoint: Path):
    edit_settings(checkpoint / "model_index.json", _class_name="HunyuanVideo15ImageToVideoPipeline")
    edit_settings(checkpoint / "vae" / "config.json", scaling_factor=0)
    (fault,) = faults_of(checkpoint)
    assert "is an image-to-video checkpoint" in fault


@pytest.mark.parametrize("place", ["", "transformer"])
def test_a_transformer_of_another_pipeline_is_found_wherever_it_is_taken_from(checkpoint: Path, place: str):
    edit_settings(checkpoint / "model_index.json", _class_name="HunyuanVideo15ImageToVideoPipeline")
    (fault,) = faults_of(SHAPES, transformer=checkpoint / place)
    assert fault.startswith(f"{checkpoint}/model_index.json: is an image-to-video checkpoint")


def test_of_a_checkpoint_of_another_pipeline_other_components_can_be_used(checkpoint: Path):
    edit_settings(checkpoint / "model_index.json", _class_name="HunyuanVideo15ImageToVideoPipeline")
    assert faults_of(checkpoint, transformer=SHAPES) == []
    assert faults_of(SHAPES, vae=checkpoint) == []


def test_a_checkpoint_of_another_pipeline_can_decode_what_is_denoised_already(checkpoint: Path):
    edit_settings(checkpoint / "model_index.json", _class_name="HunyuanVideo15ImageToVideoPipeline")
    assert faults_of(checkpoint, first="decode") == []
    assert faults_of(checkpoint, first="denoise") != []


def test_of_latents_from_a_file_a_checkpoint_of_another_pipeline_can_decode(checkpoint: Path):
    edit_settings(checkpoint / "model_index.json", _class_name="HunyuanVideo15ImageToVideoPipeline")
    chain = build_chain(checkpoint)
    latents = Node("denoise", {"from_file": "0"}, {}, {})
    nodes = {"denoise": latents, **{name: chain.nodes[name] for name in ("decode", "export")}}
    assert find_faults(replace(chain, nodes=nodes), PIPELINE, "denoise") == []


def test_steps_that_fail_are_collected_and_others_pass():
    def refuse(text: str) -> None:
        raise CheckpointError(text)

    assert collect(lambda: refuse("a"), lambda: None, lambda: refuse("b")) == ["a", "b"]


def test_a_hub_that_refuses_is_asked_once_for_all_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with serve({}) as server:
        ask_here(server, tmp_path, monkeypatch)
        checkpoint, reader = resolve("org/gone", COMMIT), Reader()
        chains = [replace(build_chain(SHAPES), checkpoint=checkpoint, reader=reader) for _ in range(5)]
        faults = [find_faults(chain, PIPELINE, "encode") for chain in chains]
    assert [each[0].partition(":")[0] for each in faults] == [f"org/gone@{COMMIT}"] * 5
    assert server.num_of_models == 1


def test_what_videos_have_in_common_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root, read = copy_params(tmp_path), list[tuple[str, str]]()
    video = (root / "params/videos/demo.toml").read_text()
    for seed in range(5):
        (root / f"params/videos/other{seed}.toml").write_text(video.replace("[denoise]", f"[denoise]\nseed = {seed}"))
    build = load_build(root, {})
    for name, function in (
        ("read_component_settings", checks.read_component_settings),
        ("find_local_files", checks.find_local_files),
        ("require_components", lambda *_: None),
    ):

        def note(checkpoint: Checkpoint, what: Any, name: str = name, function: Any = function) -> Any:
            read.append((name, str(what)))
            return function(checkpoint, what)

        monkeypatch.setattr(checks, name, note)
    assert build.check([node.title for node in build.graph.all_nodes()], build.demand())[0] == {}
    assert len(build.graph.videos) == 6
    assert {name for name, _ in read} == {"read_component_settings", "find_local_files", "require_components"}
    assert len(read) == len(set(read))
