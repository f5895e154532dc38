"""The order of things: which seeds, which phases, what is measured, what is written."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from diffusers.models.transformers.transformer_hunyuan_video15 import HunyuanVideo15Transformer3DModel

from stages.geometry import LATENT_CHANNELS, VideoSize
from training.shapes.boxes import boxes_phase, train_on_boxes
from training.shapes.decoder import Restorer, decoder_phase, train_decoder
from training.shapes.dit import EMA_DECAY, dit_phase, train_dit, use_key_masks
from training.shapes.draw import draw, random_scene
from training.shapes.earlier import load_earlier
from training.shapes.finished import read_finished
from training.shapes.folder import assemble, write_folder
from training.shapes.latents import LatentSet, load_latents
from training.shapes.loop import load_checkpoint, save_checkpoint
from training.shapes.models import build_dit, build_vae
from training.shapes.optim import MovingAverage
from training.shapes.parallel import is_first, wait_for_others
from training.shapes.sample import SamplingSettings, plain_prompt, sample_videos, score
from training.shapes.sizes import USUAL_SIZE
from training.shapes.text import build_text_side
from training.shapes.vae import fast_layers, near_outline, to_model
from training.shapes.vocabulary import held_out_combinations

log = logging.getLogger(__name__)

TEXT_SEED, DIT_SEED, VAE_SEED = 7, 3, 4
TRAIN_VAE_SEED, TRAIN_DIT_SEED, TRAIN_DECODER_SEED = 101, 103, 102
LATENT_SEED, HELD_OUT_SCENE_SEED = 104, 105
EDGE_BAND_PX = 3
MEASURED_SIZES = (USUAL_SIZE, VideoSize(25, 64, 64), VideoSize(17, 128, 128), VideoSize(9, 96, 160))
DEFAULTS = SamplingSettings(num_inference_steps=20, guidance_scale=3.0, flow_shift=3.0)


def run(phases: Sequence[str], *, out: Path, work: Path, finished: Sequence[str] = ()) -> None:
    """Run the named phases; each continues from its checkpoint in `work` and starts from those before it.

    Args:
        finished: phases whose results are taken from the files in `phases/`.
    """
    if is_first():
        adopt_finished(finished, work=work)
    wait_for_others()
    with fast_layers():
        if "vae" in phases:
            vae = build_vae(seed=VAE_SEED)
            load_earlier(vae, "vae")
            train_on_boxes(vae, boxes_phase(work, seed=TRAIN_VAE_SEED))
        if "dit" in phases:
            text = build_text_side(seed=TEXT_SEED)
            dit = build_dit(seed=DIT_SEED)
            load_earlier(dit, "dit")
            train_dit(dit, restore_latents(work), text, dit_phase(work, seed=TRAIN_DIT_SEED))
        if "decoder" in phases:
            dit = restore_dit(work)
            use_key_masks(dit)
            vae, restorer = restore_vae(work, with_decoder=False), Restorer(dit, restore_latents(work).scaling_factor)
            text = build_text_side(seed=TEXT_SEED)
            train_decoder(vae, restorer, text, decoder_phase(work, seed=TRAIN_DECODER_SEED))
        if "export" in phases:
            export(out=out, work=work)


def adopt_finished(finished: Sequence[str], *, work: Path) -> None:
    """Make what these phases, "vae" or "dit", have left in files their checkpoints in `work`."""
    if "vae" in finished:
        vae, phase = build_vae(seed=VAE_SEED), boxes_phase(work, seed=TRAIN_VAE_SEED)
        vae.load_state_dict(read_finished(phase))
        save_checkpoint(phase, {"vae": vae}, phase.num_steps)
    if "dit" in finished:
        average = MovingAverage(build_dit(seed=DIT_SEED), decay=EMA_DECAY)
        phase = dit_phase(work, seed=TRAIN_DIT_SEED)
        average.shadow = read_finished(phase)
        save_checkpoint(phase, {"average": average}, phase.num_steps)


def restore_latents(work: Path) -> LatentSet:
    """The training set of the transformer, by the trained autoencoder."""
    return load_latents(restore_vae(work, with_decoder=False), seed=LATENT_SEED, work=work)


def restore_vae(work: Path, *, with_decoder: bool = True) -> AutoencoderKLHunyuanVideo15:
    """The autoencoder as its checkpoint has it, rounded as it is stored; with or without the decoder phase."""
    vae = build_vae(seed=VAE_SEED)
    load_checkpoint(boxes_phase(work, seed=TRAIN_VAE_SEED), {"vae": vae})
    if with_decoder:
        load_checkpoint(decoder_phase(work, seed=TRAIN_DECODER_SEED), {"vae": vae})
    vae.bfloat16().float()
    return vae


def restore_dit(work: Path) -> HunyuanVideo15Transformer3DModel:
    """The transformer with its averaged weights, rounded as it is stored."""
    dit = build_dit(seed=DIT_SEED)
    average = MovingAverage(dit, decay=EMA_DECAY)
    load_checkpoint(dit_phase(work, seed=TRAIN_DIT_SEED), {"average": average})
    dit.load_state_dict(average.shadow, strict=False)
    dit.bfloat16().float()
    return dit


def export(*, out: Path, work: Path) -> None:
    """Measure what the checkpoints in `work` hold, trained to the end or not, and write it as a folder."""
    text, vae, dit = build_text_side(seed=TEXT_SEED), restore_vae(work), restore_dit(work)
    vae.register_to_config(scaling_factor=restore_latents(work).scaling_factor)
    if not is_first():
        return
    for size in MEASURED_SIZES:
        whole, edges = held_out_psnr(vae, size)
        log.info("held-out videos of %s: %.2f dB, near outlines %.2f dB", size, whole, edges)
    processors = dit.attn_processors
    use_key_masks(dit)
    combinations = held_out_combinations()
    prompts = [plain_prompt(combination) for combination in combinations]
    for size in MEASURED_SIZES:
        figures = score(sample_videos(dit, vae, text, prompts, settings=DEFAULTS, size=size), combinations)
        log.info("held-out combinations, %s: %s", size, asdict(figures))
    dit.set_attn_processor(processors)
    defaults = {"flow_shift": DEFAULTS.flow_shift, "guidance_scale": DEFAULTS.guidance_scale}
    write_folder(assemble(text, dit, vae, **defaults), out)


@torch.no_grad()
def held_out_psnr(vae: AutoencoderKLHunyuanVideo15, size: VideoSize) -> tuple[float, float]:
    """dB, means over one video of each held-out combination, encoded and decoded in float32.

    Returns:
        Over all pixels; over those within `EDGE_BAND_PX` of an outline.
    """
    rng, whole, edges = np.random.default_rng(HELD_OUT_SCENE_SEED), [], []
    for combination in held_out_combinations():
        video = to_model([draw(random_scene(combination, rng, size))])
        decoded = vae.decoder(vae.encoder(video)[:, :LATENT_CHANNELS])
        error = ((decoded.clamp(-1, 1) - video) / 2).square().mean(dim=1, keepdim=True)
        near = near_outline(video, EDGE_BAND_PX)
        whole.append(-10 * error.mean().log10().item())
        edges.append(-10 * error[near].mean().log10().item())
    return float(np.mean(whole)), float(np.mean(edges))
