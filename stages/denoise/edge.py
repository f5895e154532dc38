"""Edge of the denoise stage: embeddings in, `latents.safetensors` out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from stages.denoise.config import (
    SchedulerConfig,
    TransformerConfig,
    parse_guider_config,
    parse_scheduler_config,
    parse_transformer_config,
)
from stages.denoise.plan import StepPlan, lower_step
from stages.denoise.sampling import is_guided, make_schedule, sample
from stages.denoise.sharding.mesh import build_mesh, max_devices
from stages.denoise.text_tokens import PromptEmbeds, TextTokens, check_masks, check_widths, pack_text_tokens
from stages.denoise.torch_bridge import initial_noise
from stages.denoise.weights import DiTWeights, load_weights
from stages.geometry import LatentSize, VideoSize, latent_size
from stages.keys import JsonValue
from stages.machine.devices import pick_devices
from stages.machine.executables import Executables, find_compiler_facts
from stages.machine.host_discovery import find_place
from stages.machine.host_protocol import Hosts, join
from stages.machine.versions import versions_of
from stages.models.settings import read_settings
from stages.pipeline.contract import check_shapes
from stages.pipeline.contracts import EMBEDDINGS, LATENTS
from stages.run.held_model import HeldModel
from stages.run.job import Job, Report
from stages.store.artifacts import Store
from stages.tensors.dtypes import DTYPES
from stages.tensors.files import read_tensors, write_tensors
from stages.tensors.finite import require_finite
from stages.tensors.weight_files import WeightFiles

_MIB = 2**20
_TRACED_BY = ("diffusers", "torch", "torchax")  # what a step's program comes from, besides JAX
# The next job of this process mostly wants the same weights and the same program.
_HELD: HeldModel[DiTWeights[jax.Array]] = HeldModel()
_HELD_STEP: HeldModel[jax.stages.Compiled] = HeldModel()
_HELD_HOSTS: HeldModel[Hosts] = HeldModel()


@dataclass(frozen=True)
class _Prepared:
    """What a video's steps are made with: the compiled step and its first arguments, and where they are.

    `compiling`, for run.json: seconds, and whether it was loaded; empty for the step of the video before.
    """

    plan: StepPlan
    mesh: Mesh
    scheduler: SchedulerConfig
    step: jax.stages.Compiled
    weights: DiTWeights[jax.Array]
    text: TextTokens[jax.Array]
    compiling: Mapping[str, JsonValue]


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Denoise a node's latents, with all hosts.

    Returns:
        For run.json: the kind of device, the number of hosts, the mesh; and where the step was not at hand from the
        video before, the seconds to get it and whether it was loaded.
    """
    parameters: Mapping[str, Any] = job.node.parameters
    hosts = _HELD_HOSTS.get(job.machine["hosts"], lambda: _join(job, report))
    with hosts.preparing(job.node.title, job.number, lambda: _facts(job)):
        ready = _prepare(job, report, hosts)
    with report.phase("denoise"):
        latents = sample(
            ready.step,
            ready.weights,
            ready.text,
            initial_noise(ready.plan.size, seed=parameters["seed"], dtype=ready.plan.dtype),
            make_schedule(parameters["num_inference_steps"], ready.scheduler, flow_shift=parameters["flow_shift"]),
            config=ready.plan.config,
            mesh=ready.mesh,
            guidance_scale=parameters["guidance_scale"],
            progress=lambda done, total: report.progress(done, total, "step"),
        )
    require_finite(
        latents,
        what="latents",
        parameter="denoise.dtype",
        dtype=ready.plan.dtype,
        checkpoint=job.component("transformer"),
    )
    write_tensors(draft / LATENTS.payload, {"latents": np.asarray(latents)})
    device = ready.mesh.devices.flat[0].device_kind
    return {"device": device, "hosts": hosts.count, "mesh": dict(ready.mesh.shape), **ready.compiling}


def _join(job: Job, report: Report) -> Hosts:
    place = find_place(job.machine["hosts"], platform=job.machine["platform"])
    if place is None:
        return Hosts()
    report.joining_hosts()
    with report.phase("join"):
        return join(place)


def _facts(job: Job) -> Mapping[str, str]:
    """What must be the same on all hosts that denoise together: with other programs they would wait for ever."""
    embeddings = Store(job.store).present_manifest(job.inputs[EMBEDDINGS.name])
    return {
        "node": job.node.title,
        "bytes of the embeddings": embeddings.digest,
        "code": job.code,
        "machine.platform": job.machine["platform"],
        "machine.mesh": job.machine["mesh"],
        **versions_of(_TRACED_BY),
        **find_compiler_facts(),
    }


def _prepare(job: Job, report: Report, hosts: Hosts) -> _Prepared:
    """Load and compile; raises what the user should know before anything is computed."""
    parameters: Mapping[str, Any] = job.node.parameters
    transformer = job.component("transformer")
    with report.phase("load"):
        scheduler = parse_scheduler_config(read_settings(job.component("scheduler") / "scheduler_config.json"))
        config = parse_transformer_config(read_settings(transformer / "config.json"))
        _check_guider(job.component("guider") / "guider_config.json", parameters["guidance_scale"], report)
        size = latent_size(VideoSize(parameters["num_frames"], parameters["height"], parameters["width"]))
        text = _read_text(job.input(EMBEDDINGS), config, parameters, num_video_tokens=size.num_cells)
        plan = _plan(config, size, text, parameters)
        devices = pick_devices(job.machine["platform"])
        num_heads = config.num_attention_heads
        mesh = build_mesh(job.machine["mesh"], devices, num_heads=num_heads, is_guided=plan.is_guided)
        most = max_devices(num_heads=num_heads, is_guided=plan.is_guided)
        hosts.require_work(mesh.devices.flat, max_devices=most)
        load = partial(_load, transformer, config, dtype=plan.dtype, mesh=mesh, report=report)
        weights = _HELD.get((transformer, plan.dtype, mesh), load)
    compiling: dict[str, JsonValue] = {}

    def compile_step() -> jax.stages.Compiled:
        executable = Executables(job.store, warn=report.warn).compile(lower_step(plan, mesh))
        compiling.update(compile_s=round(executable.compile_s, 3), was_loaded=executable.was_loaded)
        return executable.compiled

    with report.phase("compile"):
        step = _HELD_STEP.get((plan, mesh), compile_step)
    return _Prepared(plan, mesh, scheduler, step, weights, text, compiling)


def _check_guider(file: Path, guidance_scale: float, report: Report) -> None:
    """Refuse a guider that guides in another way; warn where the transformer wants no guidance and is given some."""
    own = parse_guider_config(read_settings(file)).guidance_scale
    if not is_guided(own) and is_guided(guidance_scale):
        report.warn(
            f"{file}: its guidance_scale is 1.0, so the transformer holds the guidance already, and "
            f"denoise.guidance_scale = {guidance_scale} guides a second time, at twice the cost. Set it to 1.0."
        )


def _read_text(
    source: Path, config: TransformerConfig, parameters: Mapping[str, Any], *, num_video_tokens: int
) -> TextTokens[jax.Array]:
    tensors = read_tensors(source)
    check_shapes(EMBEDDINGS, {name: array.shape for name, array in tensors.items()}, where=str(source))
    check_widths(tensors, config, where=source)
    prefixes = ("", "negative_") if is_guided(parameters["guidance_scale"]) else ("",)
    check_masks(tensors, prefixes=prefixes, where=source)
    prompts = [PromptEmbeds.from_tensors(tensors, prefix=prefix) for prefix in prefixes]
    return pack_text_tokens(prompts, dtype=DTYPES[parameters["dtype"]], num_video_tokens=num_video_tokens)


def _plan(
    config: TransformerConfig, size: LatentSize, text: TextTokens[jax.Array], parameters: Mapping[str, Any]
) -> StepPlan:
    return StepPlan(
        config=config,
        size=size,
        num_prompt_tokens=text.prompt.shape[1],
        num_glyph_tokens=text.glyph.shape[1],
        is_guided=is_guided(parameters["guidance_scale"]),
        dtype=parameters["dtype"],
        window_size=parameters["window_size"],
    )


def _load(folder: Path, config: TransformerConfig, *, dtype: str, mesh: Mesh, report: Report) -> DiTWeights[jax.Array]:
    def progress(done: int, total: int) -> None:
        report.progress(-(-done // _MIB), -(-total // _MIB), "MiB")

    return load_weights(WeightFiles(folder), config, dtype=dtype, mesh=mesh, progress=progress)
