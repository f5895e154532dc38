"""Edge of the denoise stage: embeddings in, `latents.safetensors` out."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh

from stages.component_config import read_settings
from stages.contracts import CONTRACTS, check_shapes
from stages.denoise.config import (
    TransformerConfig,
    parse_guider_config,
    parse_scheduler_config,
    parse_transformer_config,
)
from stages.denoise.mesh import build_mesh
from stages.denoise.sampling import make_schedule, sample
from stages.denoise.text_tokens import PromptEmbeds, check_widths
from stages.denoise.torch_bridge import initial_noise
from stages.denoise.weights import DiTWeights, load_weights
from stages.devices import pick_devices
from stages.finite import require_finite
from stages.geometry import VideoSize, latent_size
from stages.held_model import HeldModel
from stages.job import Job, Report
from stages.keys import JsonValue
from stages.tensors import WeightFiles, read_tensors, write_tensors

_MIB = 2**20
_HELD: HeldModel[DiTWeights] = HeldModel()  # the next job of this process mostly wants the same weights


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Denoise a node's latents."""
    parameters: Mapping[str, Any] = job.node.parameters
    source, transformer = job.input("encode"), job.component("transformer")
    with report.phase("load"):
        mesh = build_mesh(job.machine["mesh"], pick_devices(job.machine["platform"]))
        scheduler = parse_scheduler_config(read_settings(job.component("scheduler") / "scheduler_config.json"))
        config = parse_transformer_config(read_settings(transformer / "config.json"))
        _check_guider(job.component("guider") / "guider_config.json", parameters["guidance_scale"], report)
        tensors = _read_embeddings(source, config)
        load = partial(_load, transformer, config, dtype=parameters["dtype"], mesh=mesh, report=report)
        weights = _HELD.get((transformer, parameters["dtype"], mesh), load)
    with report.phase("denoise"):
        size = latent_size(VideoSize(parameters["num_frames"], parameters["height"], parameters["width"]))
        latents = sample(
            weights,
            PromptEmbeds.from_tensors(tensors),
            PromptEmbeds.from_tensors(tensors, prefix="negative_"),
            initial_noise(size, seed=parameters["seed"], dtype=parameters["dtype"]),
            make_schedule(parameters["num_inference_steps"], scheduler, flow_shift=parameters["flow_shift"]),
            config=config,
            mesh=mesh,
            guidance_scale=parameters["guidance_scale"],
            window_size=parameters["window_size"],
            progress=lambda done, total: report.progress(done, total, "step"),
        )
    require_finite(
        latents, what="latents", parameter="denoise.dtype", dtype=parameters["dtype"], checkpoint=transformer
    )
    write_tensors(draft / CONTRACTS["denoise"].payload, {"latents": np.asarray(latents)})
    (device,) = mesh.devices.flat
    return {"device": device.device_kind}


def _check_guider(file: Path, guidance_scale: float, report: Report) -> None:
    """Refuse a guider that guides in another way; warn where the transformer wants no guidance and is given some."""
    own = parse_guider_config(read_settings(file)).guidance_scale
    if math.isclose(own, 1.0) and not math.isclose(guidance_scale, 1.0):
        report.warn(
            f"{file}: its guidance_scale is 1.0, so the transformer holds the guidance already, and "
            f"denoise.guidance_scale = {guidance_scale} guides a second time, at twice the cost. Set it to 1.0."
        )


def _read_embeddings(source: Path, config: TransformerConfig) -> Mapping[str, Any]:
    tensors = read_tensors(source)
    check_shapes("encode", {name: array.shape for name, array in tensors.items()}, where=str(source))
    check_widths(tensors, config, where=source)
    return tensors


def _load(folder: Path, config: TransformerConfig, *, dtype: str, mesh: Mesh, report: Report) -> DiTWeights:
    def progress(done: int, total: int) -> None:
        report.progress(-(-done // _MIB), -(-total // _MIB), "MiB")

    return load_weights(WeightFiles(folder), config, dtype=dtype, mesh=mesh, progress=progress)
