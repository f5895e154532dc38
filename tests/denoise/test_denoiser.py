"""The DiT as an object: what it accepts, what it keeps, and what it gives."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from stages.denoise import denoiser as module
from stages.denoise.denoiser import Denoiser
from stages.denoise.sharding.mesh import AXES, build_mesh
from stages.errors import ContractError, MeshError, ParamsError, StageError
from stages.models.checkpoint import Checkpoint
from tests.denoise.builders import TOY
from tests.denoise.jobs import embeddings, write_whole_checkpoint
from tests.loads import Compiler
from tests.quick_compiler import quick_programs

SETTINGS: dict[str, Any] = {
    "num_frames": 1,
    "height": 32,
    "width": 32,
    "num_inference_steps": 2,
    "guidance_scale": 2.0,
    "seed": 0,
}
EMBEDDINGS = embeddings(TOY.text_embed_dim)


@pytest.fixture(scope="module", autouse=True)
def _quick_programs() -> Iterator[None]:
    with quick_programs():
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return Checkpoint(write_whole_checkpoint(tmp_path_factory.mktemp("checkpoint")))


@pytest.fixture(scope="module")
def denoiser(checkpoint: Checkpoint) -> Denoiser:
    return Denoiser.load(checkpoint, dtype="float32")


def refusal(denoiser: Denoiser, kind: type[Exception], tensors: object = None, **changes: Any) -> str:
    with pytest.raises(kind) as caught:
        denoiser.denoise(EMBEDDINGS if tensors is None else tensors, **(SETTINGS | changes))
    return str(caught.value)


def test_latents_have_the_size_of_the_video_and_the_model_dtype(checkpoint: Checkpoint):
    denoiser = Denoiser.load(checkpoint, dtype="bfloat16")
    latents = denoiser.denoise(EMBEDDINGS, **(SETTINGS | {"num_frames": 5, "width": 48}))
    assert isinstance(latents, np.ndarray)
    assert (latents.shape, latents.dtype) == ((1, 32, 2, 2, 3), "bfloat16")


def test_one_seed_gives_one_video_and_another_seed_another(denoiser: Denoiser):
    first, again, other = (denoiser.denoise(EMBEDDINGS, **(SETTINGS | {"seed": seed})) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_a_shift_the_schedulers_own_is_used(denoiser: Denoiser):
    own = denoiser.config.scheduler.shift
    without = denoiser.denoise(EMBEDDINGS, **SETTINGS)
    np.testing.assert_array_equal(without, denoiser.denoise(EMBEDDINGS, **SETTINGS, flow_shift=own))
    assert not np.array_equal(without, denoiser.denoise(EMBEDDINGS, **SETTINGS, flow_shift=2 * own))


def test_a_step_is_compiled_once_for_each_size_and_kept(checkpoint: Checkpoint):
    denoiser, compiler = Denoiser.load(checkpoint, dtype="float32"), Compiler()
    for width in (32, 48, 32, 48):
        denoiser.denoise(EMBEDDINGS, **(SETTINGS | {"width": width}), compile_program=compiler)
    assert compiler.compiled == ["denoise step"] * 2


def test_where_few_steps_are_held_a_new_one_replaces_the_oldest(checkpoint: Checkpoint):
    denoiser, compiler = Denoiser.load(checkpoint, dtype="float32", max_steps=1), Compiler()
    for width in (32, 32, 48, 32):
        denoiser.denoise(EMBEDDINGS, **(SETTINGS | {"width": width}), compile_program=compiler)
    assert compiler.compiled == ["denoise step"] * 3


def test_steps_and_loaded_bytes_are_counted(checkpoint: Checkpoint):
    bytes_read: list[tuple[int, int]] = []
    denoiser = Denoiser.load(checkpoint, dtype="float32", progress=lambda *pair: bytes_read.append(pair))
    assert bytes_read[-1][0] == bytes_read[-1][1] > 0
    steps: list[tuple[int, int]] = []
    denoiser.denoise(EMBEDDINGS, **SETTINGS, progress=lambda *pair: steps.append(pair))
    assert steps == [(1, 2), (2, 2)]


def test_it_computes_on_the_devices_that_it_is_given(checkpoint: Checkpoint):
    denoiser = Denoiser.load(checkpoint, dtype="float32", devices=jax.devices("cpu")[:1], mesh="1x1x1")
    assert list(denoiser.mesh.devices.flat) == jax.devices("cpu")[:1]


def test_a_mesh_may_be_given_whole(checkpoint: Checkpoint):
    mesh = build_mesh("1x1x1", jax.devices(), num_heads=TOY.num_attention_heads, is_guided=False)
    assert Denoiser.load(checkpoint, dtype="float32", mesh=mesh).mesh == mesh


def test_a_mesh_that_does_not_fit_is_refused(checkpoint: Checkpoint):
    with pytest.raises(MeshError, match='mesh "1x64x1" wants 64 devices'):
        Denoiser.load(checkpoint, dtype="float32", mesh="1x64x1")


def test_it_is_of_what_it_was_loaded_from_alone(denoiser: Denoiser, checkpoint: Checkpoint):
    other_mesh = Mesh(denoiser.mesh.devices, ("a", "b", "c"))
    assert denoiser.is_of(checkpoint, dtype="float32", mesh=denoiser.mesh)
    assert not denoiser.is_of(checkpoint, dtype="bfloat16", mesh=denoiser.mesh)
    assert not denoiser.is_of(replace(checkpoint, folder=Path("other")), dtype="float32", mesh=denoiser.mesh)
    assert not denoiser.is_of(checkpoint, dtype="float32", mesh=other_mesh)


@pytest.mark.parametrize(("is_asked", "num_reads"), [(True, 1), (False, 0)])
def test_a_bound_of_scores_is_read_only_where_attention_depends_on_it(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, is_asked: bool, num_reads: int
):
    reads = []
    read_max_score = module.read_max_score
    monkeypatch.setattr(module, "uses_bounds", lambda _device: is_asked)
    monkeypatch.setattr(
        module, "read_max_score", lambda *arguments: reads.append(read_max_score(*arguments)) or reads[-1]
    )
    assert Denoiser.load(checkpoint, dtype="float32").has_bounded_scores is is_asked
    assert len(reads) == num_reads


def test_a_dtype_that_no_model_has_is_refused_before_anything_is_read():
    with pytest.raises(ParamsError) as caught:
        Denoiser.load(Checkpoint(Path("nowhere")), dtype="float16")
    assert str(caught.value) == "arguments, denoise.dtype = \"float16\": must be 'bfloat16' or 'float32'."


def test_all_settings_that_break_a_rule_are_named_at_once(denoiser: Denoiser):
    assert refusal(denoiser, ParamsError, num_frames=6, height=41, guidance_scale=0.5, window_size=-1).splitlines() == [
        "arguments, denoise.num_frames = 6: must be 4k + 1, because the VAE keeps frame 0 alone and folds each 4 after "
        "it into one. Use 5 or 9.",
        "  arguments, denoise.height = 41: must be a multiple of 16, the VAE's spatial compression. Use 32 or 48.",
        "  arguments, denoise.guidance_scale = 0.5: must be greater than or equal to 1.",
        "  arguments, denoise.window_size = -1: must be greater than or equal to 0.",
    ]


def test_a_tensor_that_is_missing_is_named(denoiser: Denoiser):
    tensors = {name: array for name, array in EMBEDDINGS.items() if name != "prompt_embeds_2"}
    assert refusal(denoiser, ContractError, tensors) == (
        "embeddings: does not hold embeddings: `prompt_embeds_2` is missing."
    )


def test_a_dtype_that_embeddings_never_have_is_named(denoiser: Denoiser):
    tensors = EMBEDDINGS | {"prompt_embeds": EMBEDDINGS["prompt_embeds"].astype(np.float64)}
    assert refusal(denoiser, ContractError, tensors) == (
        "embeddings: does not hold embeddings: `prompt_embeds` is float64, not BF16 or F32."
    )


def test_embeddings_of_other_text_encoders_are_refused(denoiser: Denoiser):
    message = refusal(denoiser, ContractError, embeddings(TOY.text_embed_dim + 4))
    assert "`prompt_embeds` is 24 wide, not text_embed_dim = 20" in message


def test_latents_that_are_not_finite_are_refused(denoiser: Denoiser, checkpoint: Checkpoint):
    tensors = EMBEDDINGS | {"prompt_embeds": np.full_like(EMBEDDINGS["prompt_embeds"], np.inf)}
    assert refusal(denoiser, StageError, tensors) == (
        f"latents: 128 of 128 values are not finite; {checkpoint.folder}/transformer made them in float32. "
        "Use another checkpoint in params/model.toml."
    )


def test_without_guidance_a_mesh_for_guidance_is_refused(denoiser: Denoiser, checkpoint: Checkpoint):
    twice = Mesh(np.array(jax.devices()[:1] * 2).reshape(2, 1, 1), AXES)
    for_guidance = Denoiser(
        checkpoint, denoiser.config, denoiser._weights, dtype="float32", mesh=twice, has_bounded_scores=False
    )
    assert refusal(for_guidance, MeshError, guidance_scale=1.0) == (
        "guidance_scale = 1.0: the devices are arranged for guidance, {'cfg': 2, 'sequence': 1, 'heads': 1}, and one "
        "half would have nothing to do. Load the denoiser with is_guided=False."
    )


def test_on_one_device_a_video_may_be_guided_or_not(denoiser: Denoiser):
    guided, unguided = (denoiser.denoise(EMBEDDINGS, **(SETTINGS | {"guidance_scale": scale})) for scale in (2.0, 1.0))
    assert not np.array_equal(guided, unguided)


def test_a_second_guidance_is_warned_of(tmp_path: Path):
    folder = write_whole_checkpoint(tmp_path)
    file = folder / "guider" / "guider_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"guidance_scale": 1.0}))
    denoiser = Denoiser.load(Checkpoint(folder), dtype="float32")
    with pytest.warns(UserWarning, match="guides a second time") as caught:
        denoiser.denoise(EMBEDDINGS, **SETTINGS)
    assert [str(warning.message) for warning in caught] == [
        f"{file}: its guidance_scale is 1.0, so the transformer holds the guidance already, and denoise.guidance_scale "
        "= 2.0 guides a second time, at twice the cost. Set it to 1.0."
    ]
    denoiser.denoise(EMBEDDINGS, **(SETTINGS | {"guidance_scale": 1.0}))  # warnings are errors
