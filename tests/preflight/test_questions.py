"""Which programs preflight asks about, and when two of them are the same."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.errors import ContractError
from stages.pipeline.stages import Pipeline
from stages.preflight.questions import Question, ask, describe_target
from stages.request.params import load_params
from tests.preflight_builders import write_project


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def questions(root: Path, *, topology: str = "v6e:2x4", **overrides: str) -> list[Question]:
    params = load_params(root, {name.replace("__", "."): text for name, text in overrides.items()}, Pipeline())
    return ask(params.videos["demo"], root, describe_target(topology, params.machine), mesh=params.machine.mesh)


def changed(root: Path, **overrides: str) -> set[str]:
    """Stages whose program is another one with these parameters."""
    before, after = questions(root), questions(root, **overrides)
    return {old.stage for old, new in zip(before, after, strict=True) if old.node.key != new.node.key}


def test_a_video_asks_for_its_step_and_its_chunk(root: Path):
    denoise, decode = questions(root)
    assert (denoise.stage, denoise.num_calls, denoise.num_tokens) == ("denoise", 20, 3 * 2 * 3)
    assert (decode.stage, decode.num_calls, decode.num_tokens) == ("decode", 3, 3 * 2 * 3)


@pytest.mark.parametrize(
    ("name", "text", "stages"),
    [
        ("denoise__num_frames", "5", {"denoise", "decode"}),
        ("denoise__width", "64", {"denoise", "decode"}),
        ("denoise__window_size", "16", {"denoise"}),
        ("denoise__dtype", "bfloat16", {"denoise"}),
        ("denoise__guidance_scale", "1.0", {"denoise"}),
        ("encode__prompt", 'a sign that says "stop"', {"denoise"}),
        ("encode__negative_prompt", 'a sign that says "stop"', {"denoise"}),
        ("decode__enable_tiling", "true", {"decode"}),
        ("decode__dtype", "bfloat16", {"decode"}),
        ("machine__mesh", "1x2x4", {"denoise"}),
        ("denoise__seed", "5", set()),
        ("denoise__num_inference_steps", "5", set()),
        ("denoise__guidance_scale", "5.0", set()),
        ("encode__prompt", 'a board, 6" wide', set()),
        ("decode__tile_size", "32", set()),
        ("export__fps", "7", set()),
        ("machine__platform", "auto", set()),
    ],
)
def test_a_parameter_asks_anew_for_the_programs_that_it_changes(root: Path, name: str, text: str, stages: set[str]):
    assert changed(root, **{name: text}) == stages


def test_other_settings_of_the_checkpoint_ask_anew(root: Path):
    before = questions(root)
    config = root / "model" / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"num_layers": 2', '"num_layers": 3'))
    assert [a.node.key == b.node.key for a, b in zip(before, questions(root), strict=True)] == [False, True]


def test_another_slice_asks_anew(root: Path):
    keys = {
        question.node.key for topology in ("", "v6e:2x4", "v6e:2x2") for question in questions(root, topology=topology)
    }
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("name", "asks_anew"),
    [
        ("LIBTPU_INIT_ARGS", True),
        ("XLA_FLAGS", True),
        ("JAX_DISABLE_MOST_OPTIMIZATIONS", True),
        ("TPU_SOMETHING", True),
        ("MY_TPU", False),
    ],
)
def test_what_compilers_read_of_the_environment_asks_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, asks_anew: bool
):
    monkeypatch.delenv(name, raising=False)
    before = [question.node.key for question in questions(root)]
    monkeypatch.setenv(name, "1")
    after = [question.node.key for question in questions(root)]
    assert [old != new for old, new in zip(before, after, strict=True)] == [asks_anew] * 2


def test_this_machine_is_its_name_platform_devices_and_memory(root: Path, monkeypatch: pytest.MonkeyPatch):
    def keys(platform: str = "cpu") -> list[str]:
        return [question.node.key for question in questions(root, topology="", machine__platform=platform)]

    before = keys()
    assert keys() == before
    assert not {*keys("auto")} & {*before}
    for name, value in (
        ("socket.gethostname", lambda: "another"),
        ("stages.preflight.questions.host_memory_bytes", lambda: 2**20),
        ("stages.preflight.questions.find_device_files", lambda: ["/dev/accel0"]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            assert not {*keys()} & {*before}, name


@pytest.mark.parametrize(("topology", "host"), [("v6e:4x4", "v6e:2x2"), ("v5p:2x2x2", "v5p:2x2x1")])
def test_decode_is_asked_for_on_one_host_so_that_slices_share_the_answer(root: Path, topology: str, host: str):
    large, small = questions(root, topology=topology), questions(root, topology=host)
    assert [question.topology for question in large] == [topology, host]
    assert large[1].node.key == small[1].node.key
    assert large[0].node.key != small[0].node.key


def test_without_guidance_the_negative_prompt_is_not_read(root: Path):
    alone = {"denoise__guidance_scale": "1.0"}
    plain, quoted = questions(root, **alone)[0], questions(root, **alone, encode__negative_prompt='"stop"')[0]
    assert plain.node.key == quoted.node.key


def write_embeddings(root: Path, **counts: int) -> None:
    tensors = {}
    for prefix in ("", "negative_"):
        for name, places in (("prompt_embeds", 1000), ("prompt_embeds_2", 256)):
            mask = name.replace("embeds", "embeds_mask")
            tensors[f"{prefix}{name}"] = np.zeros((1, places, 2), np.float32)
            tensors[f"{prefix}{mask}"] = np.zeros((1, places), np.float32)
            tensors[f"{prefix}{mask}"][0, : counts[f"{prefix}{mask}"]] = 1
    save_file(tensors, root / "embeddings.safetensors")


@pytest.mark.parametrize(("scale", "expected"), [("3.0", (400, 70)), ("1.0", (300, 0))])
def test_text_from_a_file_is_what_its_masks_mark(root: Path, scale: str, expected: tuple[int, int]):
    write_embeddings(
        root,
        prompt_embeds_mask=300,
        negative_prompt_embeds_mask=400,
        prompt_embeds_mask_2=0,
        negative_prompt_embeds_mask_2=70,
    )
    denoise, _ = questions(
        root, encode__from_file="embeddings.safetensors", encode__prompt='"unread"', denoise__guidance_scale=scale
    )
    parameters = denoise.node.parameters
    assert (parameters["num_prompt_tokens"], parameters["num_glyph_tokens"]) == expected


def test_a_file_that_holds_no_embeddings_is_reported(root: Path):
    (root / "embeddings.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ContractError, match=r"encode.from_file: .*: not a whole safetensors file"):
        questions(root, encode__from_file="embeddings.safetensors")


def test_latents_from_a_file_have_its_size_and_no_step(root: Path):
    save_file({"latents": np.zeros((1, 32, 5, 4, 6), np.float32)}, root / "latents.safetensors")
    (decode,) = questions(root, denoise__from_file="latents.safetensors")
    assert (decode.stage, decode.num_calls, decode.num_tokens) == ("decode", 5, 5 * 4 * 6)


def test_a_file_that_holds_no_latents_is_reported(root: Path):
    (root / "latents.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ContractError, match="not a whole safetensors file"):
        questions(root, denoise__from_file="latents.safetensors")


def test_tiles_are_asked_for_as_a_run_is_reported(root: Path):
    _, decode = questions(root, decode__enable_tiling="true", decode__tile_overlap="0.5")
    parameters = decode.node.parameters
    assert (parameters["height"], parameters["width"]) == (2, 3)
    assert (parameters["enable_tiling"], parameters["tile_size"], parameters["tile_overlap"]) == (True, 16, 0.5)


def test_a_decoder_that_is_not_compiled_is_not_asked_for(root: Path):
    assert [question.stage for question in questions(root, decode__decoder="diffusers")] == ["denoise"]
