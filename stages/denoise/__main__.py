"""Edge of the denoise stage: embeddings in, `latents.safetensors` out."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from stages.contracts import CONTRACTS, check_shapes
from stages.denoise.config import TransformerConfig, parse_scheduler_config, parse_transformer_config
from stages.denoise.mesh import build_mesh
from stages.denoise.sampling import make_schedule, sample
from stages.denoise.text_tokens import PromptEmbeds
from stages.denoise.torch_bridge import initial_noise
from stages.denoise.weights import DiTWeights, load_weights
from stages.geometry import VideoSize, latent_size
from stages.job import Job, Report, serve
from stages.keys import JsonValue
from stages.tensors import WeightFiles, read_tensors, write_tensors


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Denoise a node's latents."""
    parameters: Mapping[str, Any] = job.node.parameters
    tensors = read_tensors(job.input("encode"))
    check_shapes("encode", {name: array.shape for name, array in tensors.items()}, where=str(job.input("encode")))
    with report.phase("load"):
        devices = _devices(job.machine["platform"])
        mesh = build_mesh(job.machine["mesh"], devices)
        scheduler_file = job.component("scheduler") / "scheduler_config.json"
        scheduler = parse_scheduler_config(scheduler_file.read_text(), where=scheduler_file)
        config, weights = _load(job.component("transformer"), parameters["dtype"], mesh)
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
    write_tensors(draft / CONTRACTS["denoise"].payload, {"latents": np.asarray(latents)})
    return {"device": f"{len(mesh.devices.flat)} x {devices[0].device_kind}"}


def _devices(platform: str) -> list[jax.Device]:
    if platform != "auto":
        jax.config.update("jax_platforms", platform)
    return jax.devices()


@lru_cache(maxsize=1)  # the next job of this process mostly wants the same model
def _load(folder: Path, dtype: str, mesh: Mesh) -> tuple[TransformerConfig, DiTWeights]:
    config_file = folder / "config.json"
    config = parse_transformer_config(config_file.read_text(), where=config_file)
    return config, load_weights(WeightFiles(folder), config, dtype=dtype, mesh=mesh)


if __name__ == "__main__":
    serve(run)
