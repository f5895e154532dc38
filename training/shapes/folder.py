"""Writes the checkpoint folder, as `HunyuanVideo15Pipeline.from_pretrained` reads it, and swaps it in."""

import re
import shutil
from pathlib import Path

import torch
from diffusers.guiders.classifier_free_guidance import ClassifierFreeGuidance
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from diffusers.models.transformers.transformer_hunyuan_video15 import HunyuanVideo15Transformer3DModel
from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import HunyuanVideo15Pipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from training.shapes.text import TextSide

FILE_MODE = 0o644  # safetensors writes files that only their owner can read
# What the settings say, whatever versions write them: they are a part of what identifies a component.
VERSIONS = {"_diffusers_version": "0.42.1", "transformers_version": "5.23.0"}


def assemble(
    text: TextSide,
    dit: HunyuanVideo15Transformer3DModel,
    vae: AutoencoderKLHunyuanVideo15,
    *,
    flow_shift: float,
    guidance_scale: float,
) -> HunyuanVideo15Pipeline:
    """The pipeline of these parts, with the sampling defaults in its scheduler and guider."""
    return HunyuanVideo15Pipeline(
        text_encoder=text.text_encoder,
        tokenizer=text.tokenizer,
        transformer=dit,
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=flow_shift),
        text_encoder_2=text.text_encoder_2,
        tokenizer_2=text.tokenizer_2,
        guider=ClassifierFreeGuidance(guidance_scale=guidance_scale),
    )


def write_folder(pipeline: HunyuanVideo15Pipeline, out: Path) -> None:
    """Write the pipeline's files under `out`, weights in bfloat16; other files in `out` stay.

    Everything is written beside `out` first and then renamed into it file by file, so that a reader sees an old
    or a new file, never half of one. The pipeline's modules are converted to bfloat16 in place.
    """
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    pipeline.to(dtype=torch.bfloat16).save_pretrained(fresh, safe_serialization=True)
    for file in fresh.rglob("*.json"):
        _name_versions(file)
    for file in sorted(path for path in fresh.rglob("*") if path.is_file()):
        target = out / file.relative_to(fresh)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.chmod(FILE_MODE)
        file.replace(target)
    shutil.rmtree(fresh)


def _name_versions(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for name, version in VERSIONS.items():
        text = re.sub(rf'("{name}": )"[^"]*"', rf'\g<1>"{version}"', text)
    file.write_text(text, encoding="utf-8")
