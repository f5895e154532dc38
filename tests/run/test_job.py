"""Jobs and what a running stage tells."""

import errno
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from stages.errors import CheckpointError, ContractError, StoreError
from stages.keys import JsonValue, Key, digest_bytes
from stages.machine.versions import versions_of
from stages.models.checkpoint import Checkpoint, component_identity
from stages.models.pipeline_class import explain_missing_index
from stages.pipeline.contracts import EMBEDDINGS
from stages.pipeline.denoise import GUIDER, SCHEDULER, TRANSFORMER
from stages.run.job import Job, perform
from stages.run.report import Report
from stages.store.artifacts import Store
from stages.store.inputs import hold_inputs
from stages.store.partial import PartialState, PartialStates
from stages.store.stat_cache import StatCache
from stages.store.verdict import Reason, Verdict
from stages.tensors.files import write_tensors
from tests.builders import CODE, build_chain, build_job, build_node, payload_of, publish

LATENTS = np.ones((1, 32, 3, 4, 4), np.float32)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    node = build_node("denoise", inputs={"encode": Key("a" * 32)}, seed=1, note="“ü”\n")
    vae = Checkpoint(tmp_path, repo="org/model", commit="0" * 40)
    checkpoint = Checkpoint(tmp_path, variant="fp16", elsewhere={"vae": vae})
    node = replace(node, components={component.name: "0" * 32 for component in (TRANSFORMER, SCHEDULER, GUIDER)})
    return build_job(node, checkpoint, tmp_path / "artifacts", CODE, {"platform": "cpu"})


def test_a_job_is_one_line_and_read_back_equal(job: Job):
    line = job.to_json()
    assert "\n" not in line
    assert Job.from_json(line) == job
    assert Job.from_json(line).node.key == job.node.key


def test_a_job_of_a_file_is_read_back_equal(job: Job):
    from_file = replace(job, node=build_node("denoise", from_file="a" * 32), from_file=Path("/a/“ü” file"))
    assert Job.from_json(from_file.to_json()) == from_file


def test_a_job_knows_where_its_input_is(denoise: Job):
    encode, _ = build_chain()
    assert denoise.input(EMBEDDINGS) == denoise.store / "encode" / encode.key / "embeddings.safetensors"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_job_that_ends_early_is_saved_whatever_ends_it(denoise: Job, error: type[BaseException]):
    saved: list[bool] = []

    def run(_job: Job, _draft: Path, report: Report) -> Mapping[str, JsonValue]:
        report.when_interrupted(lambda: saved.append(True))
        raise error

    with pytest.raises(error):
        perform(denoise, run, Report(lambda _: None))
    assert saved == [True]


def test_a_job_that_cannot_be_published_is_saved(denoise: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "draft")

    saved: list[bool] = []

    def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
        report.when_interrupted(lambda: saved.append(True))
        (draft / payload_of(job.node.stage)).write_bytes(latents_file(tmp_path))
        return {}

    monkeypatch.setattr(Store, "publish", refuse)
    with pytest.raises(StoreError, match="No space left on device"):
        perform(denoise, run, Report(lambda _: None))
    assert saved == [True]


def test_who_interrupts_a_job_that_is_being_published_waits_for_that():
    report, order = Report(lambda _: None), []
    report.when_interrupted(lambda: order.append("saved"))
    with report.completing():
        other = threading.Thread(target=lambda: (report.interrupt(), order.append("interrupted")))
        other.start()
        other.join(0.1)
        order.append("published")
    other.join()
    assert order == ["published", "interrupted"]


def test_what_was_saved_of_a_job_goes_when_its_artifact_is_there(denoise: Job, tmp_path: Path):
    states, state = PartialStates(denoise.store), PartialState({}, {}, b"latents")
    states.write(denoise.node.artifact, state)
    with pytest.raises(ContractError):
        do(denoise, b"")
    assert states.read(denoise.node.artifact, payload_bytes=7) == state
    saved: list[bool] = []

    def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
        report.when_interrupted(lambda: saved.append(True))
        (draft / payload_of(job.node.stage)).write_bytes(latents_file(tmp_path))
        return {}

    report = Report(lambda _: None)
    perform(denoise, run, report)
    assert states.find_all() == []
    report.interrupt()
    assert saved == []


@pytest.fixture
def denoise(tmp_path: Path) -> Job:
    """A job whose input has been made."""
    encode, node = build_chain()
    node = replace(node, components={})
    store = Store(tmp_path / "artifacts")
    publish(store, encode)
    return build_job(node, Checkpoint(tmp_path), store.root, CODE, {})


def do(job: Job, payload: bytes, meanwhile: Callable[[], None] = lambda: None) -> Mapping[str, JsonValue]:
    """Do a job by a stage that reads its input and writes `payload`; the event that ends it."""

    def run(job: Job, draft: Path, _report: Report) -> Mapping[str, JsonValue]:
        job.input(EMBEDDINGS).read_bytes()
        meanwhile()
        (draft / payload_of(job.node.stage)).write_bytes(payload)
        return {}

    return perform(job, run, Report(lambda _: None))


def latents_file(folder: Path, **tensors: np.ndarray) -> bytes:
    write_tensors(folder / "latents", tensors or {"latents": LATENTS})
    return (folder / "latents").read_bytes()


def test_run_json_has_the_peak_in_bytes_and_the_tpu_compiler_that_jax_has(denoise: Job, tmp_path: Path):
    import_module("jax")
    do(denoise, latents_file(tmp_path))
    payload = Store(denoise.store).payload(denoise.node.artifact)
    facts = json.loads(payload.with_name("run.json").read_text())
    assert 2**25 < facts["peak_memory_bytes"] < 2**40  # a Python with JAX has 32 MiB and more, and no TiB
    assert facts["versions"].get("libtpu", "") == versions_of(["libtpu"])["libtpu"]


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_what_keeps_its_contract_is_published(denoise: Job, tmp_path: Path, dtype: type):
    payload = latents_file(tmp_path, latents=LATENTS.astype(dtype))
    assert do(denoise, payload)["event"] == "result"
    assert Store(denoise.store).verdict(denoise.node, CODE).is_fresh


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        ({"latents": LATENTS.astype(np.float16)}, "`latents` is F16, not BF16 or F32"),
        ({"latents": LATENTS[:, :16]}, "`latents` is [1, 16, 3, 4, 4], not [1, 32, >= 1, >= 1, >= 1]"),
        ({"latents": LATENTS[:, :, :0]}, "`latents` is [1, 32, 0, 4, 4], not [1, 32, >= 1, >= 1, >= 1]"),
        ({"latent": LATENTS}, "`latents` is missing; `latent` is not part of it"),
    ],
)
def test_what_breaks_its_contract_is_never_published(
    denoise: Job, tmp_path: Path, tensors: dict[str, np.ndarray], fault: str
):
    with pytest.raises(ContractError) as error:
        do(denoise, latents_file(tmp_path, **tensors))
    assert str(error.value) == (f"{denoise.node.title}, latents.safetensors: does not hold latents: {fault}.")
    assert Store(denoise.store).verdict(denoise.node, CODE) == Verdict("absent")


@pytest.mark.parametrize("length", [0, 7, 8, 50, -1])
def test_a_file_that_is_cut_is_never_published(denoise: Job, tmp_path: Path, length: int):
    with pytest.raises(
        ContractError, match=r"latents\.safetensors: denoise has not written a whole safetensors file \("
    ):
        do(denoise, latents_file(tmp_path)[:length])
    assert Store(denoise.store).verdict(denoise.node, CODE) == Verdict("absent")


def test_a_stage_that_writes_nothing_is_named_with_the_file_that_it_did_not_write(denoise: Job):
    with pytest.raises(ContractError) as error:
        perform(denoise, lambda _job, _draft, _report: {}, Report(lambda _: None))
    assert str(error.value) == (
        f"{denoise.node.title}, latents.safetensors: denoise has not written it. Its `run` must write this file into "
        "the folder that it is given."
    )
    assert Store(denoise.store).verdict(denoise.node, CODE) == Verdict("absent")


def test_a_damaged_input_stops_the_job_and_the_next_run_makes_it_again(denoise: Job, tmp_path: Path):
    path = denoise.input(EMBEDDINGS)
    path.write_bytes(b"Payload")
    with pytest.raises(StoreError) as error:
        do(denoise, latents_file(tmp_path))
    assert str(error.value) == (
        f"{path}: xxh3 is {digest_bytes(b'Payload')}, the manifest says {digest_bytes(b'payload')}; "
        "the file was cut or edited. Run `doit` again: it is made anew."
    )
    encode, _ = build_chain()
    assert Store(denoise.store).verdict(encode, CODE) == Verdict("forgotten")
    publish(Store(denoise.store), encode)
    assert do(denoise, latents_file(tmp_path))["event"] == "result"


def test_an_input_made_again_while_a_stage_runs_is_never_taken_for_what_it_read(denoise: Job, tmp_path: Path):
    do(denoise, latents_file(tmp_path), lambda: publish(Store(denoise.store), build_chain()[0], b"other"))
    before, now = digest_bytes(b"payload"), digest_bytes(b"other")
    assert Store(denoise.store).verdict(denoise.node, CODE) == Verdict("stale", (Reason("inputs.encode", before, now),))
    assert do(denoise, latents_file(tmp_path))["event"] == "result"
    assert Store(denoise.store).verdict(denoise.node, CODE).is_fresh


@pytest.mark.parametrize("change", ["forget", "remove", "replace"])
def test_a_stage_reads_what_was_checked_whatever_becomes_of_it_meanwhile(denoise: Job, tmp_path: Path, change: str):
    store, (encode, _) = Store(denoise.store), build_chain()

    def read_late(job: Job, draft: Path, _report: Report) -> dict[str, str]:
        if change == "forget":
            store.forget(encode.artifact)
        if change == "remove":
            store.remove(encode.artifact)
        if change == "replace":
            publish(store, encode, b"other")
        assert job.input(EMBEDDINGS).read_bytes() == b"payload"
        (draft / payload_of(job.node.stage)).write_bytes(latents_file(tmp_path))
        return {}

    perform(denoise, read_late, Report(lambda _: None))
    manifest = store.present_manifest(denoise.node.artifact)
    assert manifest.inputs["encode"].digest == digest_bytes(b"payload")


def test_messages_name_an_input_as_it_is_called_in_the_store(denoise: Job):
    path = denoise.input(EMBEDDINGS)
    with hold_inputs(Store(denoise.store), denoise.node) as held:
        held_job = replace(denoise, held={"encode": next(iter(held.values())).path})
        assert held_job.input(EMBEDDINGS) != path
        assert held_job.name_input(EMBEDDINGS) == str(path)


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_a_checkpoint_that_was_changed_in_use_makes_nothing(denoise: Job, tmp_path: Path, moment: str):
    weights = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"one")
    weights.with_name("config.json").write_text("{}")
    identity = component_identity(denoise.checkpoint, TRANSFORMER, StatCache(tmp_path / "cache"))
    node = replace(denoise.node, components={"transformer": identity})
    job = replace(denoise, node=node, components=(TRANSFORMER,))
    payload = latents_file(tmp_path)
    if moment == "before":
        weights.write_bytes(b"two")
    with pytest.raises(CheckpointError, match=r"transformer: was changed while it was in use\. Run `doit` again"):
        do(job, payload, lambda: None if moment == "before" else weights.write_bytes(b"two"))  # type: ignore[func-returns-value]
    assert Store(job.store).verdict(job.node, CODE) == Verdict("absent")


def test_a_checkpoint_without_its_index_is_warned_of_once_and_run_json_says_where_it_is(denoise: Job, tmp_path: Path):
    (tmp_path / "guider").mkdir()
    (tmp_path / "guider/guider_config.json").write_text("{}")
    identity = component_identity(denoise.checkpoint, GUIDER, StatCache(tmp_path / "cache"))
    job = replace(denoise, node=replace(denoise.node, components={"guider": identity}), components=(GUIDER,))
    events: list[Mapping[str, JsonValue]] = []

    def run(job: Job, draft: Path, _report: Report) -> Mapping[str, JsonValue]:
        (draft / payload_of(job.node.stage)).write_bytes(latents_file(tmp_path))
        return {}

    for number in (1, 2):
        perform(replace(job, number=number), run, Report(events.append))
    run_json = Store(job.store).payload(job.node.artifact).with_name("run.json")
    assert json.loads(run_json.read_text())["components"] == {"guider": str(tmp_path / "guider")}
    (warning,) = [event["message"] for event in events if event["event"] == "warning"]
    assert warning == explain_missing_index(job.checkpoint.folder)


def test_an_error_of_the_system_names_the_file(denoise: Job, tmp_path: Path):
    def fail() -> None:
        (tmp_path / "nothing").read_bytes()

    with pytest.raises(StoreError, match=r"nothing: No such file or directory\. Fix that and run it again"):
        do(denoise, b"", fail)


def test_a_librarys_error_that_only_looks_like_one_of_the_system_keeps_its_text(denoise: Job):
    def fail() -> None:
        raise OSError("libfoo.so.1: cannot open shared object file")

    with pytest.raises(OSError, match=r"libfoo\.so\.1"):
        do(denoise, b"", fail)
