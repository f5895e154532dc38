"""Edge of the denoise stage: embeddings in, `latents.safetensors` out."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

from jax.sharding import Mesh
from numpy.typing import NDArray

from stages.denoise.attention.kernels import pick_attention
from stages.denoise.config import GuiderConfig, TransformerConfig, read_model_config
from stages.denoise.denoiser import Denoiser, PreparedVideo, explain_second_guidance
from stages.denoise.resume import Keeper, Start, Work, find_start
from stages.denoise.sampling import SamplingSettings, make_schedule
from stages.denoise.sharding.mesh import build_mesh, max_devices
from stages.denoise.text_tokens import TextTokens, read_embeddings
from stages.keys import JsonValue
from stages.machine.executables import Executables, describe_compiling, find_compiler_facts
from stages.machine.host_discovery import find_place
from stages.machine.host_protocol import Hosts, join
from stages.machine.jax_internals import hardware_fingerprint
from stages.machine.regular_files import digest_file
from stages.machine.versions import versions_of
from stages.models.checkpoint import Checkpoint, settings_file
from stages.pipeline.contracts import EMBEDDINGS, LATENTS
from stages.pipeline.denoise import GUIDER
from stages.run.accelerator import open_devices
from stages.run.job import Job, Run, check_components
from stages.run.previews import open_previews
from stages.run.report import Report
from stages.store.partial import PartialStates
from stages.tensors.files import read_tensors, write_tensors

Keep: TypeAlias = Callable[[int, NDArray[Any]], None]  # as in `sample`
_TRACED_BY = ("diffusers", "torch", "torchax")  # what a step's program comes from, besides JAX


def open_stage() -> Run:
    """The stage for one process; it keeps the model, and stays with the other hosts, for the next job."""
    return DenoiseStage().run


class DenoiseStage:
    """Denoises one job after another, and holds the denoiser of the last one and the hosts that have joined."""

    def __init__(self) -> None:
        """Nothing is loaded, and no host is joined, before the first job."""
        self._denoiser: Denoiser | None = None
        self._hosts: Hosts | None = None
        self._hosts_setting = ""

    def run(self, job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
        """Denoise a node's latents, with all hosts.

        Returns:
            For run.json: the kind of device, the number of hosts, the mesh, the form of attention; after which step
            this run began, in how many runs the steps were done, and the seconds that those before took for theirs; and
            where the step was not at hand from a video before, the seconds to get it and whether it was loaded.
        """
        hosts = self._join(job, report)
        find_facts = cache(partial(_facts, job))  # it reads the embeddings
        with hosts.preparing(job.node.title, job.number, find_facts):
            denoiser, video = self._prepare(job, report, hosts)
            check_components(job)  # again: what is saved from now on is of the weights that the node's key means
            work, states = _describe_work(job, find_facts(), denoiser, video, hosts), PartialStates(job.store)
            start = find_start(work, states, report.note) if hosts.index == 0 else Start()
            start = work.from_bytes(hosts.agree_on_start(work.to_bytes(start), job.node.title))
        keeper = None  # of several hosts the first one saves, for all
        if hosts.index == 0:
            keeper = Keeper(work, start, states, every=job.machine["checkpoint_every"], warn=report.warn)
            report.when_interrupted(keeper.save)
        with report.phase("denoise"), _previewing(job, denoiser, video, keeper, report) as keep:
            latents = denoiser.run(
                video,
                progress=lambda done, total: report.progress(done, total, "step"),
                num_done=start.num_done,
                latents=start.latents,
                keep=keep,
            )
            write_tensors(draft / LATENTS.payload, {"latents": latents})
        mesh = denoiser.mesh
        device = mesh.devices.flat[0].device_kind
        attention = work.made_with["attention"]
        facts = {"device": device, "hosts": hosts.count, "mesh": dict(mesh.shape), "attention": attention}
        compiled = () if video.executable is None else (video.executable,)
        return {**facts, **_describe_start(start), **describe_compiling(compiled)}

    def _join(self, job: Job, report: Report) -> Hosts:
        """The hosts that have joined, once for all jobs with the same setting."""
        setting = job.machine["hosts"]
        if self._hosts is None or self._hosts_setting != setting:
            self._hosts, self._hosts_setting = _join(job, report), setting
        return self._hosts

    def _prepare(self, job: Job, report: Report, hosts: Hosts) -> tuple[Denoiser, PreparedVideo]:
        """Load and compile; raises what the user should know before anything is computed."""
        parameters: Mapping[str, Any] = job.parameters
        settings = SamplingSettings(**{field.name: parameters[field.name] for field in fields(SamplingSettings)})
        with report.phase("load"):
            config = read_model_config(job.checkpoint)
            guider = settings_file(job.checkpoint, GUIDER)
            _check_guider(config.guider, settings.guidance_scale, report, where=guider)
            text = _read_text(job, config.transformer, settings, dtype=parameters["dtype"])
            devices = open_devices(job, report)
            num_heads, is_guided = config.transformer.num_attention_heads, settings.is_guided
            mesh = build_mesh(job.machine["mesh"], devices, num_heads=num_heads, is_guided=is_guided)
            most = max_devices(num_heads=num_heads, is_guided=is_guided)
            hosts.require_work(mesh.devices.flat, max_devices=most)
            denoiser = self._load(job.checkpoint, parameters["dtype"], mesh, report)
        with report.phase("compile"):
            compile_program = Executables(job.store, warn=report.warn).compile
            return denoiser, denoiser.prepare(text, settings, compile_program=compile_program)

    def _load(self, checkpoint: Checkpoint, dtype: str, mesh: Mesh, report: Report) -> Denoiser:
        """The denoiser of the job before, if it is the same; else that one is let go first: both may not fit."""
        if self._denoiser is None or not self._denoiser.is_of(checkpoint, dtype=dtype, mesh=mesh):
            self._denoiser = None
            self._denoiser = Denoiser.load(
                checkpoint, dtype=dtype, mesh=mesh, max_steps=1, progress=report.progress_bytes
            )
        return self._denoiser


def _join(job: Job, report: Report) -> Hosts:
    place = find_place(job.machine["hosts"], platform=job.machine["platform"])
    if place is None:
        return Hosts()
    report.note_joining()
    with report.phase("join"):
        return join(place)


@contextmanager
def _previewing(
    job: Job, denoiser: Denoiser, video: PreparedVideo, keeper: Keeper | None, report: Report
) -> Iterator[Keep | None]:
    """What is called with the latents after each step: the keeper, if there is one, and what makes previews."""
    if keeper is None:
        yield None
        return
    settings = video.settings
    scheduler = denoiser.config.scheduler
    schedule = make_schedule(settings.num_inference_steps, scheduler, flow_shift=settings.flow_shift)
    previews = open_previews(job, schedule.sigmas.tolist(), report, num_processors=_count_processors())
    if previews is None:
        yield keeper
        return

    def keep(num_done: int, latents: NDArray[Any]) -> None:
        keeper(num_done, latents)
        previews(num_done, latents)

    with closing(previews):
        yield keep


def _facts(job: Job) -> Mapping[str, str]:
    """What must be the same on all hosts that denoise together: with other programs they would wait for ever."""
    return {
        "node": job.node.title,
        "bytes of the embeddings": digest_file(job.input(EMBEDDINGS)),
        "code": job.code,
        "machine.platform": job.machine["platform"],
        "machine.mesh": job.machine["mesh"],
        **versions_of(_TRACED_BY),
        **find_compiler_facts(),
    }


def _describe_work(job: Job, facts: Mapping[str, str], denoiser: Denoiser, video: PreparedVideo, hosts: Hosts) -> Work:
    """What a state that was saved of this job, by whatever run, must have been made with to go on from."""
    devices, settings = [*denoiser.mesh.devices.flat], video.settings
    kernel = pick_attention(
        devices[0], window_size=settings.window_size, has_bounded_scores=denoiser.has_bounded_scores
    )
    asked = ("machine.platform", "machine.mesh")  # what has become of these counts
    made_with = {
        **{name: value for name, value in facts.items() if name not in asked},
        "device": devices[0].device_kind,
        "hardware": str(hardware_fingerprint(devices)),
        "processors": str(_count_processors()) if devices[0].platform == "cpu" else "",
        "hosts": str(hosts.count),
        "mesh": "x".join(map(str, denoiser.mesh.shape.values())),
        "attention": kernel.name,
    }
    return Work(job.node.artifact, made_with, settings.size, denoiser.dtype, settings.num_inference_steps)


def _count_processors() -> int:
    """Those that this process may use: XLA shares its work among them on a CPU, which can change the order of sums."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _describe_start(start: Start) -> dict[str, JsonValue]:
    return {
        "resumed_after_step": start.num_done,
        "num_pieces": start.num_pieces + 1,
        "wall_s_of_pieces_before": start.wall_s,
    }


def _check_guider(own: GuiderConfig, guidance_scale: float, report: Report, *, where: Path) -> None:
    """Warn where the transformer needs no guidance and is given some. Other ways to guide are refused with the file."""
    if message := explain_second_guidance(own, guidance_scale, where=where):
        report.warn(message)


def _read_text(
    job: Job, config: TransformerConfig, settings: SamplingSettings, *, dtype: str
) -> TextTokens[NDArray[Any]]:
    return read_embeddings(
        read_tensors(job.input(EMBEDDINGS)),
        config,
        is_guided=settings.is_guided,
        dtype=dtype,
        num_video_tokens=settings.size.num_cells,
        where=job.name_input(EMBEDDINGS),
    )
