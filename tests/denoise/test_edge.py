"""The stage as a process: its messages when checkpoint, embeddings or machine do not fit; and here: what it keeps."""

import json
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.denoise import edge
from stages.denoise.denoiser import Denoiser
from stages.errors import CheckpointError
from stages.machine.regular_files import digest_file
from stages.models.checkpoint import Checkpoint, component_identity
from stages.pipeline.contracts import EMBEDDINGS
from stages.pipeline.denoise import TRANSFORMER
from stages.run.job import Job, Run, perform
from stages.run.report import Report
from stages.store.partial import PartialStates
from stages.store.stat_cache import StatCache
from stages.tensors.files import read_tensors
from tests.denoise.builders import TOY
from tests.denoise.jobs import denoise_job, latents_file, write_whole_checkpoint
from tests.loads import watch_loads
from tests.project import SHAPES
from tests.quick_compiler import quick_programs
from tests.stage_process import HOSTILE, IGNORED, Event, StageProcess, warnings_of

pytestmark = pytest.mark.compiles

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
ONE_FOLDER_EACH = (
    "A HunyuanVideo-1.5 checkpoint has one folder per component, as diffusers' save_pretrained writes them."
)
COPY_AGAIN = "Download or copy the checkpoint again."


@dataclass(frozen=True)
class Stage:
    """The running stage, and the folder of a checkpoint and of a store that belong to one test."""

    process: StageProcess
    folder: Path

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    def run(
        self, *, width: int = TOY.text_embed_dim, machine: dict[str, str] | None = None, **changes: Any
    ) -> list[Event]:
        """Events of a job with embeddings `width` wide."""
        return self.process.run(
            denoise_job(self.checkpoint, self.folder / "artifacts", width=width, machine=machine, **changes)
        )

    def latents(self) -> np.ndarray:
        return read_tensors(latents_file(self.folder / "artifacts"))["latents"]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageProcess]:
    process = StageProcess("denoise", tmp_path_factory.mktemp("log") / "log")
    yield process
    process.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whole_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def stage(process: StageProcess, template: Path, tmp_path: Path) -> Stage:
    shutil.copytree(template, tmp_path / "checkpoint")
    return Stage(process, tmp_path)


def setting(file: str, **values: object) -> Callable[[Path], None]:
    """An edit of a checkpoint's JSON file."""

    def edit(checkpoint: Path) -> None:
        path = checkpoint / file
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


def content(file: str, data: bytes) -> Callable[[Path], None]:
    return lambda checkpoint: (checkpoint / file).write_bytes(data)  # type: ignore[return-value]


def weight(value: float, dtype: str = "float32") -> Callable[[Path], None]:
    """An edit that gives a bias of the last layer one value."""

    def edit(checkpoint: Path) -> None:
        tensors = load_file(checkpoint / WEIGHTS)
        tensors["proj_out.bias"] = np.full(tensors["proj_out.bias"].shape, value, dtype)
        save_file(tensors, checkpoint / WEIGHTS)

    return edit


def test_a_platform_that_is_not_there_is_reported(stage: Stage):
    """By a process that has not computed yet, and by one that has: that one does not start other devices."""
    for has_computed in (False, True):
        error = stage.run(machine={"platform": "tpu"})[-1]
        assert (error["event"], error["kind"]) == ("error", "MeshError")
        assert error["message"].startswith('platform = "tpu": JAX finds no such device on this machine (')
        assert error["message"].endswith("a TPU also needs `pip install -e '.[tpu]'`.")
        assert has_computed or stage.run()[-1]["event"] == "result"


def test_a_job_makes_latents_and_reports_how_far_loading_and_denoising_are(stage: Stage):
    events = stage.run()
    assert events[-1]["event"] == "result", events[-1]
    assert {event["unit"] for event in events if event["event"] == "progress"} == {"MiB", "step"}
    assert not [event for event in events if event["event"] == "warning"]
    assert np.isfinite(stage.latents()).all()


@pytest.mark.parametrize(
    ("edit", "kind", "message"),
    [
        (
            setting("guider/guider_config.json", guidance_rescale=0.7, stop=0.5),
            "CheckpointError",
            "{checkpoint}/guider/guider_config.json: this checkpoint cannot be run:\n"
            "  `guidance_rescale` is 0.7, not 0.0\n"
            "  `stop` is 0.5, not 1.0\n"
            "  Guidance here is uncond + guidance_scale * (cond - uncond) in all steps. Use a checkpoint whose guider "
            "does that, or change these settings in a copy of this one.",
        ),
        (
            setting("guider/guider_config.json", _class_name="AdaptiveProjectedGuidance"),
            "CheckpointError",
            "{checkpoint}/guider/guider_config.json: holds 'AdaptiveProjectedGuidance', not ClassifierFreeGuidance. "
            "Use a checkpoint of HunyuanVideo-1.5.",
        ),
        (
            lambda checkpoint: shutil.rmtree(checkpoint / "guider"),
            "CheckpointError",
            "{checkpoint}: has no component `guider`. " + ONE_FOLDER_EACH,
        ),
        (
            lambda checkpoint: (checkpoint / "guider/guider_config.json").unlink(),
            "CheckpointError",
            "{checkpoint}: has no component `guider`. " + ONE_FOLDER_EACH,
        ),
        (
            setting("scheduler/scheduler_config.json", shift=float("nan")),
            "CheckpointError",
            "{checkpoint}/scheduler/scheduler_config.json: not JSON (NaN is no number). " + COPY_AGAIN,
        ),
        (
            content("scheduler/scheduler_config.json", b'{"shift": 1e400}'),
            "CheckpointError",
            "{checkpoint}/scheduler/scheduler_config.json: not JSON (1e400 is too large). " + COPY_AGAIN,
        ),
        (
            content("transformer/config.json", b"[" * 100_000),
            "CheckpointError",
            "{checkpoint}/transformer/config.json: not JSON (it is nested too deeply). " + COPY_AGAIN,
        ),
        (
            content("transformer/config.json", b'"\xff"'),
            "CheckpointError",
            "{checkpoint}/transformer/config.json: not JSON ('utf-8' codec can't decode byte 0xff in position 1: "
            "invalid start byte). " + COPY_AGAIN,
        ),
        (
            lambda checkpoint: (checkpoint / "transformer/config.json").unlink(),
            "CheckpointError",
            "{checkpoint}/transformer: holds no config.json. There is diffusion_pytorch_model.safetensors. The "
            "component is incomplete: download or copy it again.",
        ),
        (
            weight(1, "int8"),
            "CheckpointError",
            "{checkpoint}/transformer: weights must be F32, F16 or BF16, but proj_out.bias is I8. "
            "Quantised weights are not supported; name another checkpoint in params/model.toml.",
        ),
        (
            weight(np.nan),
            "StageError",
            "latents: 128 of 128 values are not finite; {checkpoint}/transformer made them in float32. "
            "Use another checkpoint in params/model.toml.",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_reported(
    stage: Stage, edit: Callable[[Path], None], kind: str, message: str
):
    edit(stage.checkpoint)
    error = stage.run()[-1]
    assert error == {"event": "error", "kind": kind, "message": message.format(checkpoint=stage.checkpoint)}
    assert not list((stage.folder / "artifacts").glob("denoise/*"))


def test_embeddings_of_another_width_are_reported(stage: Stage):
    error = stage.run(width=TOY.text_embed_dim + 4)[-1]
    (source,) = (stage.folder / "artifacts" / "encode").glob("*/embeddings.safetensors")
    assert error == {
        "event": "error",
        "kind": "ContractError",
        "message": f"{source}: does not hold what the transformer reads: `prompt_embeds` is 24 wide, not "
        "text_embed_dim = 20; `negative_prompt_embeds` is 24 wide, not text_embed_dim = 20. "
        "Use a checkpoint whose text encoders and transformer belong together; embeddings in encode.from_file have "
        "to come from such text encoders, too.",
    }


def test_no_environment_stops_the_stage_or_changes_a_bit(stage: Stage, tmp_path: Path):
    """In bfloat16, whose roundings XLA's flags can change."""
    fresh = StageProcess("denoise", tmp_path / "log", {**os.environ, **HOSTILE})
    stage.run(dtype="bfloat16")
    expected = stage.latents()
    shutil.rmtree(stage.folder / "artifacts")
    events = Stage(fresh, stage.folder).run(dtype="bfloat16")
    fresh.close()
    assert events[-1]["event"] == "result"
    assert warnings_of(events) == [*IGNORED]
    assert np.array_equal(stage.latents(), expected)


def test_a_mesh_of_more_devices_than_there_are_is_reported(stage: Stage):
    error = stage.run(machine={"mesh": "2x1x1"})[-1]
    assert error == {
        "event": "error",
        "kind": "MeshError",
        "message": 'mesh "2x1x1" wants 2 devices, but there are 1. Set machine.mesh in params/machine.toml to "auto", '
        "or to sizes whose product is no larger.",
    }


def test_hosts_compare_all_that_decides_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    job = denoise_job(tmp_path / "checkpoint", tmp_path / "artifacts")
    before = edge._facts(job)
    versions = {"jax", "jaxlib", "libtpu", "torch", "torchax", "diffusers"}
    assert {"node", "bytes of the embeddings", *versions} < before.keys()
    monkeypatch.setenv("XLA_FLAGS", "--xla_one")
    monkeypatch.setenv("LIBTPU_INIT_ARGS", "--xla_two")
    monkeypatch.setenv("ELSEWHERE", "other")
    with jax.default_matmul_precision("highest"):
        after = edge._facts(job)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"XLA_FLAGS", "LIBTPU_INIT_ARGS", "jax_default_matmul_precision"}


@pytest.mark.parametrize(("guidance_scale", "num_warnings"), [(2.0, 1), (1.0, 0)])
def test_guiding_a_transformer_that_holds_the_guidance_is_warned_of(
    stage: Stage, guidance_scale: float, num_warnings: int
):
    setting("guider/guider_config.json", guidance_scale=1.0)(stage.checkpoint)
    events = stage.run(guidance_scale=guidance_scale)
    assert events[-1]["event"] == "result"
    assert [event["message"] for event in events if event["event"] == "warning"] == [
        f"{stage.checkpoint}/guider/guider_config.json: its guidance_scale is 1.0, so the transformer holds the "
        "guidance already, and denoise.guidance_scale = 2.0 guides a second time, at twice the cost. Set it to 1.0."
    ] * num_warnings


@dataclass(frozen=True)
class Kept:
    """A stage in this process, its models, and where it writes."""

    run: Run
    loaded: list[weakref.ref[Denoiser]]
    folder: Path

    def denoise(self, checkpoint: Path, **changes: Any) -> Mapping[str, Any]:
        """What run.json would say of a job."""
        changes = {"guidance_scale": 1.0} | changes  # one branch compiles in less time
        job = denoise_job(checkpoint, self.folder / "artifacts", machine={"platform": "auto"}, **changes)
        return self.run(job, self.folder, Report(lambda _event: None))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with quick_programs():
        yield Kept(edge.open_stage(), watch_loads(monkeypatch, Denoiser), tmp_path)


@pytest.fixture(scope="module")
def _opened() -> Run:
    return edge.open_stage()


@pytest.fixture
def warm(_opened: Run) -> Iterator[Run]:
    """A stage in this process that may have a model from the test before."""
    with quick_programs():
        yield _opened


def test_the_next_job_of_one_model_loads_nothing_and_of_one_size_compiles_nothing(kept: Kept, template: Path):
    videos = ((0, 32), (1, 32), (0, 48), (0, 32))
    facts = [kept.denoise(template, seed=seed, height=height) for seed, height in videos]
    assert ["compile_s" in each for each in facts] == [True, False, True, True]  # of the last size only
    assert [each.get("was_loaded") for each in facts] == [False, None, False, True]  # from the store
    assert len(kept.loaded) == 1


def test_a_model_is_gone_before_another_one_is_loaded(kept: Kept, template: Path):
    for dtype in ("float32", "bfloat16"):
        kept.denoise(template, dtype=dtype)
    assert len(kept.loaded) == 2  # `watch_loads` has looked, at the second


def test_a_model_that_cannot_be_loaded_is_tried_again(kept: Kept, template: Path, tmp_path: Path):
    broken = tmp_path / "checkpoint"
    shutil.copytree(template, broken)
    (broken / WEIGHTS).unlink()
    with pytest.raises(CheckpointError):
        kept.denoise(broken)
    shutil.copy(template / WEIGHTS, broken / WEIGHTS)
    kept.denoise(broken)
    assert len(kept.loaded) == 1


def test_hosts_join_once_for_all_jobs(warm: Run, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings: list[str] = []

    def find_place(setting: str, *, platform: str) -> None:
        settings.append(f"{setting} {platform}")

    monkeypatch.setattr(edge, "find_place", find_place)
    for seed in range(2):
        job = denoise_job(template, tmp_path / "artifacts", machine={"platform": "auto", "hosts": "auto"}, seed=seed)
        warm(job, tmp_path, Report(lambda _event: None))
    assert settings == ["auto auto"]


def test_the_bytes_of_the_embeddings_are_read_for_their_digest_once_in_a_job(
    warm: Run, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    digested: list[Path] = []
    monkeypatch.setattr(edge, "digest_file", lambda path: digested.append(path) or digest_file(path))
    job = denoise_job(template, tmp_path / "artifacts")
    warm(job, tmp_path, Report(lambda _event: None))
    assert digested == [job.input(EMBEDDINGS)]


class Interrupted(BaseException):
    """In place of a process that ends in the middle of a job."""


def denoise_until(run: Run, job: Job, *, step: int | None = None) -> list[str]:
    """Do a job, or end it after a step; what the user is told."""
    notes = []

    def send(event: Mapping[str, Any]) -> None:
        if event["event"] == "note":
            notes.append(event["message"])
        if event["event"] == "progress" and event["unit"] == "step" and event["done"] == step:
            raise Interrupted

    with nullcontext() if step is None else pytest.raises(Interrupted):
        perform(job, run, Report(send))
    return notes


def test_a_denoise_that_was_interrupted_again_and_again_goes_on_and_makes_the_same_bytes(
    warm: Run, template: Path, tmp_path: Path
):
    job, whole = (denoise_job(template, tmp_path / name, num_inference_steps=5) for name in ("artifacts", "whole"))
    assert denoise_until(warm, whole) == []
    assert denoise_until(warm, job, step=2) == []
    assert denoise_until(warm, job, step=3) == ["goes on after step 2 of 5"]
    assert denoise_until(warm, job, step=5) == ["goes on after step 3 of 5"]
    assert denoise_until(warm, job) == ["goes on after step 5 of 5"]
    assert latents_file(job.store).read_bytes() == latents_file(whole.store).read_bytes()
    facts = json.loads(latents_file(job.store).with_name("run.json").read_text())
    assert (facts["resumed_after_step"], facts["num_pieces"]) == (5, 4)
    assert facts["wall_s_of_pieces_before"] > 0
    assert PartialStates(job.store).find_all() == []


def test_a_denoise_that_was_interrupted_by_another_compiler_starts_anew_and_says_so(
    warm: Run, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = denoise_job(template, tmp_path / "artifacts", num_inference_steps=3)
    denoise_until(warm, job, step=2)
    monkeypatch.setenv("LIBTPU_INIT_ARGS", "--new")
    assert denoise_until(warm, job) == [
        "starts anew, because step 2 of 3 was saved by a run with LIBTPU_INIT_ARGS none, not --new"
    ]
    facts = json.loads(latents_file(job.store).with_name("run.json").read_text())
    assert (facts["resumed_after_step"], facts["num_pieces"], facts["wall_s_of_pieces_before"]) == (0, 1, 0.0)
    assert facts["attention"] == "plain_attention"


def test_of_weights_that_were_changed_while_they_were_loaded_nothing_is_saved(
    kept: Kept, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nor denoised: with the first ones back, what was saved would be taken for theirs."""
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(template, checkpoint)
    job = denoise_job(checkpoint, tmp_path / "artifacts", num_inference_steps=3)
    identity = component_identity(job.checkpoint, TRANSFORMER, StatCache(tmp_path / "cache"))
    node = replace(job.node, components={"transformer": identity})
    job = replace(job, node=node, components=(TRANSFORMER,))
    load = Denoiser.load

    def load_and_change(*arguments: Any, **options: Any) -> Denoiser:
        weight(2.0)(checkpoint)
        return load(*arguments, **options)

    monkeypatch.setattr(Denoiser, "load", load_and_change)
    steps: list[Any] = []
    with pytest.raises(CheckpointError, match=r"transformer: was changed while it was in use"):
        perform(job, kept.run, Report(lambda event: steps.append(event.get("unit"))))
    assert "step" not in steps
    assert PartialStates(job.store).find_all() == []


def test_a_state_counts_only_for_what_decides_the_bits(warm: Run, template: Path, tmp_path: Path):
    """Which devices there are, and not how the machine was asked for them; nor how often it is saved."""
    job = denoise_job(template, tmp_path / "artifacts", num_inference_steps=3)
    denoise_until(warm, job, step=2)
    machine = {**job.machine, "platform": "auto", "mesh": "1x1x1", "checkpoint_every": "1"}
    assert denoise_until(warm, replace(job, machine=machine)) == ["goes on after step 2 of 3"]


def test_previews_change_no_bit_of_the_latents(warm: Run, template: Path, tmp_path: Path):
    events: list[Event] = []

    def denoise(every: str) -> bytes:
        machine = {"preview_every": every}
        job = denoise_job(template, tmp_path / f"every-{every}", num_inference_steps=4, machine=machine)
        checkpoint = replace(job.checkpoint, elsewhere={"vae": Checkpoint(SHAPES)})
        perform(replace(job, checkpoint=checkpoint, videos=("demo",)), warm, Report(events.append))
        return latents_file(job.store).read_bytes()

    assert denoise("1") == denoise("never")
    assert [event["path"] for event in events if event["event"] == "preview"] == [
        str(tmp_path / "every-1/previews/demo.webp")
    ]
    assert warnings_of_previews(events) == []


def warnings_of_previews(events: list[Event]) -> list[str]:
    messages = [event["message"] for event in events if event["event"] == "warning"]
    return [message for message in messages if "preview" in message]


def test_a_disk_that_takes_no_preview_stops_no_denoise(warm: Run, template: Path, tmp_path: Path):
    job = denoise_job(template, tmp_path / "artifacts", num_inference_steps=4, machine={"preview_every": "1"})
    checkpoint = replace(job.checkpoint, elsewhere={"vae": Checkpoint(SHAPES)})
    (job.store / "previews").symlink_to("/dev/full")
    events: list[Event] = []
    perform(replace(job, checkpoint=checkpoint, videos=("demo",)), warm, Report(events.append))
    assert latents_file(job.store).is_file()
    assert warnings_of_previews(events) == [
        f"there are no more previews of it ({job.store}/previews: File exists). They change nothing else."
    ]
