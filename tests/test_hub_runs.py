"""Runs of doit with a checkpoint of the hub: nothing is asked for what is there, and what is missing comes once."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from stages.machine.kept_programs import FOLDER as PROGRAMS
from tests.from_file.builders import random_latents
from tests.hub_repo import COMMIT, Repo, git_sha1
from tests.hub_server import TOKEN, HubServer, serve
from tests.known_files import know_package
from tests.project import ALL, DOIT, PROJECT, SHAPES, copy_project, environment, list_made

pytestmark = pytest.mark.processes

ENCODER = "text_encoder/model.safetensors"
GUARD = PROJECT / "tests" / "hub_guard"  # a sitecustomize.py that refuses and counts what goes to a network
ARGUMENTS = ["model.checkpoint=org/shapes"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project, and beside it the place of an empty hub cache."""
    (tmp_path / "project").mkdir()
    return know_package(copy_project(tmp_path / "project"))


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serve({"org/shapes": Repo.of_folder(SHAPES)}) as hub:
        yield hub


def variables(root: Path, **others: str) -> dict[str, str]:
    """Those of a process whose hub cache is empty, or what a test has laid into it."""
    own = {name: value for name, value in environment().items() if not name.startswith("HF_")}
    return {**own, "HF_HOME": str(root.parent / "hf"), **others}


def run(root: Path, *arguments: str, **others: str) -> subprocess.CompletedProcess[str]:
    """How doit ended, with these variables besides."""
    command = [*DOIT, *ARGUMENTS, *arguments]
    return subprocess.run(command, cwd=root, env=variables(root, **others), capture_output=True, text=True, check=False)


def lay_cache(root: Path, source: Path = SHAPES, *, has_links: bool = True) -> Path:
    """A checkpoint in the hub's cache, as a release of the hub's library leaves it; the repository's folder there."""
    repo = root.parent / "hf" / "hub" / "models--org--shapes"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    (repo / "blobs").mkdir()
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        place = repo / "snapshots" / COMMIT / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        blob = repo / "blobs" / git_sha1(path.read_bytes()) if has_links else place
        blob.write_bytes(path.read_bytes())
        if has_links:
            place.symlink_to(os.path.relpath(blob, place.parent))
    return repo


def guarded(root: Path) -> Mapping[str, str]:
    """Variables of processes that are refused all networks."""
    return {
        "PYTHONPATH": os.pathsep.join([str(GUARD), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "NETWORK_ATTEMPTS": str(root.parent / "attempts"),
    }


def attempts(root: Path) -> list[str]:
    path = root.parent / "attempts"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_the_guard_counts_what_a_process_asks(root: Path):
    program = "import socket; socket.create_connection(('example.org', 80))"
    result = subprocess.run(
        [sys.executable, "-c", program], env=variables(root, **guarded(root)), capture_output=True, check=False
    )
    assert result.returncode == 1
    assert len(attempts(root)) == 1


@pytest.mark.parametrize(("has_links", "made"), [(True, ALL), (False, ["encode"])])
def test_a_run_whose_files_are_all_cached_opens_no_connection_and_writes_nothing_there(
    built: Path, root: Path, *, has_links: bool, made: list[str]
):
    shutil.copytree(built / "artifacts" / PROGRAMS, root / "artifacts" / PROGRAMS)
    before = stamps(lay_cache(root, has_links=has_links))
    result = run(root, made[-1], **guarded(root))
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line.split(":")[0] for line in list_made(result)] == made
    assert attempts(root) == []
    assert stamps(root.parent / "hf" / "hub" / "models--org--shapes") == before


def test_offline_all_that_is_missing_of_all_stages_is_named_in_one_message(root: Path):
    repo = lay_cache(root)
    for path in ("text_encoder/config.json", "transformer/diffusion_pytorch_model.safetensors", "vae/config.json"):
        (repo / "snapshots" / COMMIT / path).unlink()
    result = run(root, HF_HUB_OFFLINE="1")
    assert result.returncode == 1
    assert list_made(result) == []
    assert (
        f"CheckpointError: org/shapes@{COMMIT}: not in the hub's cache, or not known to be whole there ({repo}):\n"
        "  text_encoder/*\n  transformer/*\n  vae/*\n"
        "  They cannot be fetched: HF_HUB_OFFLINE is set, so the hub is not asked. Unset it.\n"
        "  Or run, where there is a network, with this cache: hf download org/shapes --include 'text_encoder/*' "
        f"--include 'transformer/*' --include 'vae/*' --revision {COMMIT}\n"
    ) in result.stdout + result.stderr


def test_a_download_is_shown_and_killed_in_the_middle_is_gone_on_from(root: Path, server: HubServer):
    repo = server.repos["org/shapes"]
    repo.pause_s = 0.2
    online = variables(root, HF_ENDPOINT=server.endpoint)
    command = [*DOIT, *ARGUMENTS, "encode"]
    process = subprocess.Popen(command, cwd=root, env=online, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while server.sent_bytes.get(ENCODER, 0) < 150_000:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    before = -1
    while before != (before := server.sent_bytes[ENCODER]):  # the stage's process ends after doit has
        time.sleep(1)
    (left,) = (root.parent / "hf").rglob("*.incomplete")
    come = left.stat().st_size
    assert come > 100_000
    assert not list((root.parent / "hf").rglob(f"snapshots/*/{ENCODER}"))
    first = server.sent_bytes[ENCODER]
    repo.pause_s = 0.0
    result = run(root, "encode", HF_ENDPOINT=server.endpoint)
    assert result.returncode == 0, result.stdout + result.stderr
    assert server.sent_bytes[ENCODER] - first == len(repo.files[ENCODER]) - come
    # more than the byte by which each run of doit finds out that all can be had
    weights = {path for path, num in server.sent_bytes.items() if path.endswith(".safetensors") and num > 2}
    assert weights == {ENCODER, "text_encoder_2/model.safetensors"}


def test_a_slow_download_is_shown_with_its_speed_and_the_time_left(root: Path, server: HubServer):
    save_file(dict(random_latents()), root / "latents.safetensors")  # so that the VAE is all that comes
    server.repos["org/shapes"].pause_s = 0.5  # of each 64 KiB: 34 s, and a line comes every ten
    online = variables(root, HF_ENDPOINT=server.endpoint)
    command = [*DOIT, *ARGUMENTS, "denoise.from_file=latents.safetensors", "decode"]
    seen = ""
    with subprocess.Popen(command, cwd=root, env=online, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            seen += line
            if re.search(r": download \d+/5 MiB, \d+\.\d MiB/s, \d+\.\d s left$", line):
                break
        else:
            raise AssertionError(seen)
        process.terminate()


def test_of_a_gated_repository_the_message_comes_before_anything_is_made_and_holds_no_token(
    root: Path, server: HubServer
):
    server.repos["org/shapes"].is_gated = True
    result = run(root, HF_ENDPOINT=server.endpoint, HF_TOKEN=f"{TOKEN}-of-another")
    assert result.returncode == 1
    assert list_made(result) == []
    assert (
        f"CheckpointError: demo: org/shapes@{COMMIT}: cannot be fetched: the repository is gated, and the token here "
        f"gives no access to it. Accept its terms at {server.endpoint}/org/shapes, then run `hf auth login`, or set "
        "HF_TOKEN to a token of that account, with the right to read gated repositories.\n"
    ) in result.stdout + result.stderr
    assert TOKEN not in result.stdout + result.stderr
    written = [path for path in root.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]


def test_a_repository_of_another_task_is_named_by_its_index_before_any_weight_is_fetched(root: Path, server: HubServer):
    repo = server.repos["org/shapes"]
    repo.files = {**repo.files, "model_index.json": b'{"_class_name": "HunyuanVideo15ImageToVideoPipeline"}'}
    result = run(root, HF_ENDPOINT=server.endpoint)
    assert result.returncode == 1
    assert list_made(result) == []
    said = "model_index.json: is an image-to-video checkpoint (HunyuanVideo15ImageToVideoPipeline)"
    assert said in result.stdout + result.stderr
    assert {path for path, num in server.sent_bytes.items() if num > 2} == {"model_index.json"}


def test_the_original_repository_is_recognised_by_the_names_of_its_files(root: Path, server: HubServer):
    names = ("480p_i2v", "480p_t2v", "720p_t2v")
    files = {f"transformer/{name}/{file}": b"{}" for name in names for file in ("config.json", "model.safetensors")}
    server.repos["org/shapes"] = Repo(files, frozenset())
    result = run(root, HF_ENDPOINT=server.endpoint)
    assert result.returncode == 1
    assert (
        f"CheckpointError: org/shapes@{COMMIT}: has a transformer for each of 480p_i2v, 480p_t2v, 720p_t2v: this "
        "is the layout of tencent/HunyuanVideo-1.5, with other names of weights. Use the checkpoint that diffusers "
    ) in result.stdout + result.stderr
    assert server.sent_bytes == {}
