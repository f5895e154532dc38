"""Latents equal those of diffusers' HunyuanVideo15Pipeline with the same seed, in the same process, in float32."""

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
import torch
from diffusers import ClassifierFreeGuidance, HunyuanVideo15Pipeline, HunyuanVideo15Transformer3DModel
from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, T5Config, T5EncoderModel

import stages
from stages.denoise.config import (
    is_guided,
    parse_guider_config,
    parse_scheduler_config,
    parse_transformer_config,
)
from stages.denoise.sampling import make_schedule, sample
from stages.denoise.sharding.mesh import build_mesh
from stages.denoise.step import denoise_step
from stages.denoise.text_tokens import PromptEmbeds, pack_text_tokens
from stages.denoise.torch_bridge import initial_noise
from stages.denoise.weights import load_weights
from stages.geometry import VideoSize, latent_size
from stages.models.settings import read_settings
from tests.denoise.builders import dit_weights
from tests.fork import in_dtype

pytestmark = pytest.mark.compiles

SHAPES = Path(stages.__file__).parent / "models" / "builtin" / "shapes"
NUM_STEPS = 4
SEED = 20
# float32, sums in another order. Measured after eight steps: 4.4e-6, and 3.1e-5 where the built-in checkpoint is guided
# so strongly that a rounding of one branch counts six times in each step; after four at most that.
TOLERANCE, STRONGLY_GUIDED_TOLERANCE = 1e-5, 1e-4
# Root mean square of the error in bfloat16 after the same steps, relative to the pipeline's own. Both round after each
# operation, by up to 2**-9, but not the same sums: their errors are independent of each other and alike in size.
# Measured after eight steps: 0.98 to 1.11, of errors between 0.7 % (guidance 1) and 5 % (guidance 6) of the latents;
# after four: 1.04 and 0.98, of 1.3 % (guidance 1.5) and 7 % (guidance 6).
BFLOAT16_RATIO = 1.2
PLAIN = "a red circle moves right on a black background"
QUOTED = 'a blue square with the word "GO" on it'


class Case(NamedTuple):
    """A checkpoint, as diffusers and this project see it, and a size for its videos."""

    folder: Path
    pipeline: HunyuanVideo15Pipeline
    guider: ClassifierFreeGuidance  # the pipeline's own, as it was loaded
    size: VideoSize


def load_pipeline(
    folder: Path, dtype: torch.dtype = torch.float32, **components: torch.nn.Module
) -> HunyuanVideo15Pipeline:
    arguments = in_dtype(dtype) | components
    pipeline = HunyuanVideo15Pipeline.from_pretrained(folder, local_files_only=True, **arguments)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def built_in() -> Case:
    pipeline = load_pipeline(SHAPES)
    return Case(SHAPES, pipeline, pipeline.guider, VideoSize(num_frames=9, height=96, width=96))


@pytest.fixture(scope="module")
def built_in_bfloat16() -> Case:
    return Case(SHAPES, load_pipeline(SHAPES, torch.bfloat16), ClassifierFreeGuidance(), VideoSize(9, 96, 96))


@pytest.fixture(scope="module")
def random(tmp_path_factory) -> Case:
    """Other widths, heads and layers than the built-in one, two refiner layers, odd latent sizes, a shift of 7."""
    torch.manual_seed(0)
    transformer = HunyuanVideo15Transformer3DModel(
        num_attention_heads=2,
        attention_head_dim=24,
        num_layers=3,
        num_refiner_layers=2,
        mlp_ratio=3.0,
        text_embed_dim=40,
        text_embed_2_dim=24,
        image_embed_dim=20,
        rope_theta=100.0,
        rope_axes_dim=(4, 8, 12),
        task_type="t2v",
    )
    vocab_size = json.loads((SHAPES / "text_encoder" / "config.json").read_text())["vocab_size"]
    language = Qwen2_5_VLTextConfig(
        vocab_size=vocab_size,
        hidden_size=40,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=5,
        num_key_value_heads=5,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]},
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    glyphs = T5Config(vocab_size=384, d_model=24, d_kv=8, d_ff=32, num_layers=1, num_heads=3)
    text_encoders = {
        "text_encoder": Qwen2_5_VLTextModel(language).eval(),
        "text_encoder_2": T5EncoderModel(glyphs).eval(),
    }
    pipeline = load_pipeline(SHAPES, transformer=transformer.eval(), **text_encoders)
    pipeline.scheduler = type(pipeline.scheduler)(shift=7.0)
    folder = tmp_path_factory.mktemp("checkpoint")
    transformer.save_pretrained(folder / "transformer", max_shard_size="1MB")
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    return Case(folder, pipeline, pipeline.guider, VideoSize(num_frames=5, height=80, width=112))


def denoise_by_pipeline(case: Case, prompt: str, negative_prompt: str, *, guider: ClassifierFreeGuidance) -> np.ndarray:
    case.pipeline.guider = guider
    return (
        case.pipeline(
            prompt=prompt,
            negative_prompt=negative_prompt,
            num_frames=case.size.num_frames,
            height=case.size.height,
            width=case.size.width,
            num_inference_steps=NUM_STEPS,
            generator=torch.Generator("cpu").manual_seed(SEED),
            output_type="latent",
        )
        .frames.float()
        .numpy()
    )


def denoise(
    case: Case,
    prompt: str,
    negative_prompt: str,
    *,
    guidance_scale: float,
    dtype: str = "float32",
    given: str = "float32",
) -> np.ndarray:
    """This project's latents, float32, from embeddings that the pipeline makes; these and the noise are of `given`."""

    def encode(text: str) -> PromptEmbeds:
        with torch.no_grad():
            tensors = case.pipeline.encode_prompt(text, dtype=getattr(torch, given))
        arrays = (tensor.float().numpy() for tensor in tensors)
        return PromptEmbeds(*(array.astype(dtype) for array in arrays))

    noise = initial_noise(latent_size(case.size), seed=SEED, dtype=given)
    config = parse_transformer_config(read_settings(case.folder / "transformer" / "config.json"))
    scheduler = parse_scheduler_config(read_settings(case.folder / "scheduler" / "scheduler_config.json"))
    prompts = [prompt, negative_prompt] if is_guided(guidance_scale) else [prompt]
    mesh = build_mesh("1x1x1", jax.devices(), num_heads=config.num_attention_heads, is_guided=True)
    latents = sample(
        partial(denoise_step, config=config, window_size=0, has_bounded_scores=True, mesh=mesh),
        load_weights(dit_weights(case.folder / "transformer"), config, dtype=dtype, mesh=mesh),
        pack_text_tokens([encode(text) for text in prompts], dtype=np.dtype(dtype)),
        noise.astype(dtype),
        make_schedule(NUM_STEPS, scheduler),
        config=config,
        mesh=mesh,
        guidance_scale=guidance_scale,
        progress=lambda *_: None,
    )
    return np.asarray(latents, np.float32)


@pytest.mark.parametrize(
    ("name", "prompts", "guidance_scale", "tolerance"),
    [
        ("built_in", (PLAIN, ""), 1.5, TOLERANCE),
        ("built_in", (QUOTED, "blurry"), 6.0, STRONGLY_GUIDED_TOLERANCE),
        ("random", (QUOTED, 'no "text"'), 6.0, TOLERANCE),
    ],
    ids=["built-in", "built-in, quoted word", "random, quoted words in both prompts"],
)
def test_guided_latents_equal_the_pipelines(request, name, prompts, guidance_scale, tolerance):
    case = request.getfixturevalue(name)
    guider = ClassifierFreeGuidance(guidance_scale=guidance_scale)
    expected = denoise_by_pipeline(case, *prompts, guider=guider)
    latents = denoise(case, *prompts, guidance_scale=guidance_scale)
    assert latents.shape == expected.shape
    np.testing.assert_allclose(latents, expected, rtol=0, atol=tolerance)


def test_latents_with_the_checkpoints_own_guider_equal_the_pipelines(built_in):
    own = parse_guider_config(read_settings(SHAPES / "guider" / "guider_config.json"))
    expected = denoise_by_pipeline(built_in, PLAIN, "", guider=built_in.guider)
    latents = denoise(built_in, PLAIN, "", guidance_scale=own.guidance_scale)
    np.testing.assert_allclose(latents, expected, rtol=0, atol=STRONGLY_GUIDED_TOLERANCE)


def test_guidance_of_one_equals_the_pipeline_without_its_guider(built_in):
    guider = ClassifierFreeGuidance(guidance_scale=1.0)
    guider.disable()
    expected = denoise_by_pipeline(built_in, QUOTED, "blurry", guider=guider)
    latents = denoise(built_in, QUOTED, "blurry", guidance_scale=1.0)
    np.testing.assert_allclose(latents, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("guidance_scale", [1.5, 6.0])
def test_bfloat16_latents_are_as_close_to_the_truth_as_the_pipelines(built_in_bfloat16, guidance_scale):
    case = built_in_bfloat16
    truth = denoise(case, PLAIN, "", guidance_scale=guidance_scale, given="bfloat16")
    theirs = denoise_by_pipeline(case, PLAIN, "", guider=ClassifierFreeGuidance(guidance_scale=guidance_scale))
    ours = denoise(case, PLAIN, "", guidance_scale=guidance_scale, dtype="bfloat16", given="bfloat16")
    error = np.sqrt(np.mean(np.square([ours - truth, theirs - truth]), axis=(1, 2, 3, 4, 5)))
    assert error[0] <= BFLOAT16_RATIO * error[1]
    assert 0.001 < error[1] < 0.1  # it is bfloat16 that is compared, and nothing worse
