"""The whole project as its users run it: doit, in a folder of its own, with the built-in checkpoint."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.machine.regular_files import digest_file
from stages.run.checks import Chain, payload_bytes
from stages.run.loading import load_build
from stages.tensors.files import read_tensors
from tests.builders import files_below
from tests.from_file.builders import write_reference_embeddings
from tests.interrupts import interruptible_children
from tests.project import (
    ALL,
    HEAVY,
    copy_built,
    copy_checkpoint,
    copy_project,
    environment,
    list_made,
    run_doit,
    stages_run,
    watch_doit,
)

pytestmark = pytest.mark.processes


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    return copy_built(built, tmp_path / "project")


def test_the_default_video_names_what_made_it(built: Path):
    with av.open(str(built / "artifacts/videos/demo.mp4")) as container:
        record = json.loads(container.metadata["comment"])
    assert record["prompt"] == "A red circle moves to the right."
    assert set(record["stages"]) == set(ALL)
    assert record["stages"]["denoise"]["parameters"]["seed"] == 42


def test_the_sizes_of_payloads_are_what_they_were_said_to_be_before(built: Path):
    build, header_bytes = load_build(built, {}), 1024
    nodes = build.graph.videos["demo"]
    chain = Chain(nodes, build.graph.checkpoints["demo"], build.machine.model_dump())
    for stage in ("encode", "denoise", "decode"):
        said, found = payload_bytes(chain, build.pipeline, nodes[stage]), build.store.payload(nodes[stage].artifact)
        assert said <= found.stat().st_size <= said + header_bytes


def test_a_second_run_does_nothing(root: Path):
    before = files_below(root / "artifacts")
    assert stages_run(root) == []
    after = files_below(root / "artifacts")
    assert {name for name in before if before[name] != after[name]} <= {".stat-cache.json"}


def test_a_second_run_starts_no_process_and_loads_nothing_heavy(root: Path):
    run_doit(root)
    code, started, modules = watch_doit(root)
    assert (code, started) == (0, [])
    assert not (HEAVY | {"rich"}) & modules


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("export.fps=7", ["export"]),
        ("decode.enable_tiling=true", ["decode", "export"]),
        ("denoise.seed=5", ["denoise", "decode", "export"]),
        ("encode.prompt=A blue square moves up.", ALL),
        ("machine.platform=cpu", []),
    ],
)
def test_a_changed_parameter_runs_what_depends_on_it_and_undone_nothing(root: Path, override: str, stages: list[str]):
    first = (root / "artifacts/videos/demo.mp4").readlink()
    assert stages_run(root, override) == stages
    assert ((root / "artifacts/videos/demo.mp4").readlink() != first) == bool(stages)
    assert stages_run(root) == []
    assert (root / "artifacts/videos/demo.mp4").readlink() == first
    assert stages_run(root, override) == []


def test_files_that_nothing_reads_and_where_components_lie_run_nothing(root: Path):
    model = copy_checkpoint(root / "model")
    for path in ("transformer/.DS_Store", "vae/config.json~", "text_encoder/pytorch_model.bin", "tokenizer/README.md"):
        (model / path).write_bytes(b"stray")
    (model / ".cache/huggingface").mkdir(parents=True)
    shutil.move(model / "vae", root / "vae")
    assert stages_run(root, "model.checkpoint=model", "model.components.vae=vae") == []


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_a_database_of_an_earlier_version_changes_nothing_and_is_not_touched(root: Path, content: bytes):
    (root / "artifacts/.doit.db").write_bytes(content)
    assert stages_run(root) == []
    assert (root / "artifacts/.doit.db").read_bytes() == content


def test_a_forgotten_stage_is_made_again_and_compared(root: Path):
    assert run_doit(root, "forget", "decode").returncode == 0
    result = run_doit(root)
    assert result.returncode == 0
    (made,) = list_made(result)
    assert made.startswith("decode:")
    assert made.endswith(", same bytes as before")
    assert stages_run(root) == []


def test_a_cleaned_stage_is_made_again_and_nothing_else_is_removed(root: Path):
    before = set(files_below(root / "artifacts"))
    assert run_doit(root, "clean", "export").returncode == 0
    removed = before - set(files_below(root / "artifacts"))
    (artifact,) = {name.rsplit("/", 1)[0] for name in removed if name.startswith("export/")}
    links = {"videos/demo.mp4"}  # it led to the artifact
    assert removed == links | {f"{artifact}/{name}" for name in ("video.mp4", "manifest.json", "run.json", ".checked")}
    assert stages_run(root) == ["export"]
    assert set(files_below(root / "artifacts")) >= before


def test_clean_without_names_leaves_artifacts_of_other_parameters(root: Path):
    assert stages_run(root, "export.fps=7") == ["export"]
    assert run_doit(root, "clean").returncode == 0
    assert len(list((root / "artifacts/export").iterdir())) == 1
    assert list((root / "artifacts/denoise").iterdir()) == []


def test_forget_without_names_leaves_artifacts_of_other_parameters(root: Path):
    assert stages_run(root, "export.fps=7") == ["export"]
    assert run_doit(root, "forget").returncode == 0
    forgotten = [path.parent.parent.name for path in (root / "artifacts").rglob("manifest.forgotten.json")]
    assert sorted(forgotten) == sorted(ALL)
    assert len(list((root / "artifacts/export").glob("*/manifest.json"))) == 1


def test_one_stage_or_one_video_can_be_asked_for(root: Path):
    assert run_doit(root, "clean", "decode", "export").returncode == 0
    assert stages_run(root, "decode") == ["decode"]
    assert stages_run(root, "demo") == ["export"]


def test_list_names_stages_and_videos(root: Path):
    listed = run_doit(root, "list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["decode", "demo", "denoise", "encode", "export"]


def test_info_describes_a_node(root: Path):
    name = run_doit(root, "list", "--all").stdout.split("encode:")[1].split()[0]
    result = run_doit(root, "info", f"encode:{name}")
    assert result.returncode == 0
    assert "for demo" in result.stdout
    assert "embeddings.safetensors" in result.stdout


@pytest.mark.parametrize("command", [[], ["list"], ["clean"], ["forget"]])
def test_wrong_parameters_give_one_message_and_exit_code_1(tmp_path: Path, command: list[str]):
    root = copy_project(tmp_path)
    result = run_doit(root, *command, "denoise.num_frames=50")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "ParamsError: command line, denoise.num_frames = 50: must be 4k + 1, because the VAE keeps frame 0 alone "
        "and folds each 4 after it into one. Use 49 or 53.\n"
    )
    assert not (root / "artifacts").exists()


def test_a_failing_stage_gives_one_message_and_exit_code_1(root: Path):
    weights = copy_checkpoint(root / "model") / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    name = "decoder.conv_out.conv.weight"  # that it is missing, only the stage's process finds out
    save_file({other: tensors[other] for other in tensors.keys() - {name}}, weights, metadata={"format": "pt"})
    before = {*root.glob("artifacts/decode/*")}
    result = run_doit(root, "model.checkpoint=model")
    assert result.returncode == 1
    start = f"CheckpointError: {weights.parent}: the weights do not fit its config.json:\n  1 missing: {name}\n"
    assert start in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert {*root.glob("artifacts/decode/*")} == before


def add_video_from_file(root: Path) -> Path:
    """A second video, `mine`, whose latents are a copy of the first one's; nothing of it is made yet."""
    (latents,) = root.glob("artifacts/denoise/*/latents.safetensors")
    shutil.copy(latents, root / "mine.safetensors")
    (root / "params/videos/mine.toml").write_text(
        '[denoise]\nfrom_file = "mine.safetensors"\n[decode]\ndtype = "float32"\n[export]\nfps = 8\n'
    )
    return root


@pytest.fixture
def given(root: Path) -> Path:
    return add_video_from_file(root)


@pytest.fixture(scope="module")
def given_and_built(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, made. Only its processes have logs."""
    root = tmp_path_factory.mktemp("given") / "project"
    shutil.copytree(built, root, symlinks=True, ignore=shutil.ignore_patterns("logs"))
    assert stages_run(add_video_from_file(root)) == ["denoise", "decode", "export"]
    return root


def read_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0)]


def test_latents_of_another_video_give_its_frames_whatever_size_the_parameters_say(given_and_built: Path):
    frames = [path.read_bytes() for path in given_and_built.glob("artifacts/decode/*/frames.safetensors")]
    assert len(frames) == 2
    assert frames[0] == frames[1]
    videos = given_and_built / "artifacts/videos"
    assert read_packets(videos / "mine.mp4") == read_packets(videos / "demo.mp4")


def test_for_latents_from_a_file_no_model_before_them_is_loaded(given_and_built: Path):
    programs = {path.name.split("-")[0] for path in given_and_built.glob("artifacts/logs/*")}
    assert programs == {"from_file", "decode", "export"}


def test_a_second_run_does_nothing_for_a_file_either(given_and_built: Path):
    assert stages_run(given_and_built) == []


def test_a_video_of_a_file_names_its_digest_in_place_of_a_prompt(given_and_built: Path):
    with av.open(str(given_and_built / "artifacts/videos/mine.mp4")) as container:
        record = json.loads(container.metadata["comment"])
    assert record["prompt"] is None
    assert set(record["stages"]) == {"denoise", "decode", "export"}
    digest = digest_file(given_and_built / "mine.safetensors")
    assert record["stages"]["denoise"]["parameters"] == {"from_file": digest}
    assert record["stages"]["denoise"]["components"] == {}


def test_embeddings_of_another_video_in_the_format_of_the_reference_scripts_give_its_latents(root: Path):
    (embeddings,) = root.glob("artifacts/encode/*/embeddings.safetensors")
    write_reference_embeddings(root / "mine.safetensors", read_tensors(embeddings))
    assert stages_run(root, "denoise", "encode.from_file=mine.safetensors") == ["encode", "denoise"]
    latents = [path.read_bytes() for path in root.glob("artifacts/denoise/*/latents.safetensors")]
    assert len(latents) == 2
    assert latents[0] == latents[1]


def test_a_file_that_is_touched_or_moved_runs_nothing_and_other_content_runs(given: Path):
    assert stages_run(given, "denoise") == ["denoise"]
    os.utime(given / "mine.safetensors", ns=(0, 0))
    assert stages_run(given, "denoise") == []
    (given / "mine.safetensors").rename(given / "yours.safetensors")
    assert stages_run(given, "denoise", "denoise.from_file=yours.safetensors", "video=mine") == []
    latents = read_tensors(given / "yours.safetensors")["latents"]
    save_file({"latents": latents[:, :, :1]}, given / "mine.safetensors")
    assert stages_run(given, "denoise") == ["denoise"]


def test_a_node_of_a_file_is_listed_forgotten_and_cleaned_as_any_other(given: Path):
    assert stages_run(given, "denoise") == ["denoise"]
    (line,) = [line for line in run_doit(given, "list", "--all").stdout.splitlines() if "for mine, from" in line]
    name = line.split()[0]
    assert line.endswith(f"for mine, from {given}/mine.safetensors")
    assert f"for mine, from {given}/mine.safetensors" in run_doit(given, "info", name).stdout
    assert run_doit(given, "forget", name).stdout == f"forgotten: {name}\n"
    assert ", same bytes as before" in run_doit(given, "denoise").stdout
    assert f"removed: {name}\n" in run_doit(given, "clean", name).stdout
    assert (given / "mine.safetensors").is_file()
    assert stages_run(given, "denoise") == ["denoise"]


@pytest.mark.parametrize("command", [[], ["list"], ["clean"], ["forget"]])
def test_a_path_that_leads_nowhere_gives_one_message_and_exit_code_1(tmp_path: Path, command: list[str]):
    root = copy_project(tmp_path)
    result = run_doit(root, *command, "denoise.from_file=latents.safetensors")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        f'ParamsError: command line, denoise.from_file = "latents.safetensors": there is no file {root}/'
        "latents.safetensors. Correct it; a relative path starts at the project's folder.\n"
    )
    assert not (root / "artifacts").exists()


def test_a_file_that_is_something_else_gives_one_message_and_exit_code_1(tmp_path: Path):
    root = copy_project(tmp_path)
    file = root / "mine.safetensors"
    save_file({"latent": np.zeros((1, 16, 3, 4, 4), np.float32)}, file)
    result = run_doit(root, f"denoise.from_file={file}")
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == (
        f"ContractError: {file}: does not hold latents: `latents` is missing; `latent` is not part of it. "
        "Name another file in denoise.from_file, or convert this one."
    )
    assert "Traceback" not in result.stdout + result.stderr
    assert not list(root.glob("artifacts/denoise/*"))


def test_debug_shows_where_bad_parameters_were_refused(tmp_path: Path):
    result = run_doit(copy_project(tmp_path), "--debug", "denoise.sed=1")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.splitlines()[-1].startswith("ParamsError: command line, denoise.sed = 1")


def test_debug_shows_the_traceback_of_the_stages_process(tmp_path: Path):
    root = copy_project(tmp_path)
    save_file({"latent": np.zeros((1, 16, 3, 4, 4), np.float32)}, root / "mine.safetensors")
    result = run_doit(root, "--debug", f"denoise.from_file={root}/mine.safetensors")
    assert result.returncode == 1
    assert "in read_outside_file" in result.stderr
    assert result.stdout.splitlines()[-1].startswith("ContractError: ")


# What keeps a stage at work until it hears a signal. The process after it is there in the other cases, too.
LONGER = {"encode": ["machine.start_ahead=never"], "denoise": ["denoise.num_inference_steps=2000"], "decode": []}


@pytest.fixture
def stage_at_work(request: pytest.FixtureRequest, root: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A stage whose process is in the middle of its job, and doit, which waits for it."""
    stage = request.param
    run_doit(root, "clean", stage)
    with interruptible_children():
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "doit", *LONGER[stage]],
            cwd=root,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"{stage}:")
        deadline = time.monotonic() + 120
        while not list(root.glob("artifacts/.drafts/*/new")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield stage, process
        process.kill()


@pytest.mark.parametrize(
    ("stage_at_work", "number"),
    [
        ("encode", signal.SIGINT),
        ("denoise", signal.SIGINT),
        ("decode", signal.SIGINT),
        ("denoise", signal.SIGTERM),
        ("decode", signal.SIGHUP),
    ],
    indirect=["stage_at_work"],
)
def test_ctrl_c_and_signals_that_end_end_all_processes_and_leave_nothing_half_made(
    stage_at_work: tuple[str, subprocess.Popen[str]], root: Path, number: signal.Signals
):
    stage, process = stage_at_work
    process.send_signal(number)
    output, error = process.communicate(timeout=120)
    assert process.returncode == 1
    left = rf"{stage}:[0-9a-f]{{12}}: (nothing half-made was kept|saved after step \d+ of 2000)"
    not_begun = "Nothing was in the middle of being made"  # its process was still loading its libraries
    said = rf"interrupted\. ({left}|{not_begun})\. `doit` goes on from here\."
    assert re.fullmatch(said, error.splitlines()[-1]), error
    assert "Traceback" not in output + error
    assert not list(root.glob(f"artifacts/{stage}/*"))
    assert not list(root.glob("artifacts/.drafts/*"))


def test_before_anything_is_made_no_stage_and_no_video_is_listed_as_up_to_date(tmp_path: Path):
    result = run_doit(copy_project(tmp_path), "list", "--status", "--template", "{status} {name}")
    assert result.stdout.splitlines() == [f"R {name}" for name in sorted([*ALL, "demo"])]


def test_after_a_clean_a_stage_is_listed_as_to_be_made_with_all_that_are_made_from_it(root: Path):
    run_doit(root, "clean", "denoise")
    result = run_doit(root, "list", "--status", "--template", "{status} {name}")
    assert result.stdout.splitlines() == ["R decode", "R demo", "R denoise", "U encode", "R export"]
