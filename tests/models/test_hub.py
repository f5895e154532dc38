"""The hub is asked once, its cache is read and written with care, and only what can be read is downloaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects

from stages.errors import CheckpointError
from stages.models.checkpoint import component_folder, resolve
from tests.models.builders import COMMIT, NEWER, message


def test_a_commit_needs_no_cache_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert resolve("org/other", COMMIT, tmp_path).commit == COMMIT


@pytest.mark.parametrize("revision", ["", "v2.0", "refs/pr/1"])
def test_the_hub_is_asked_once_for_a_branch_or_tag(hub: Path, tmp_path: Path, asked: list[str], revision: str):
    name = revision or "main"
    (hub / "refs" / "main").unlink()
    assert [resolve("org/model", revision, tmp_path).commit for _ in range(3)] == [NEWER] * 3
    assert asked == [name]
    assert [path for path in (hub / "refs").rglob("*") if path.is_file()] == [hub / "refs" / name]
    assert (hub / "refs" / name).read_text() == NEWER  # as the hub's library writes it: no end of line


def test_the_hub_is_asked_again_when_the_kept_commit_is_deleted(hub: Path, tmp_path: Path, asked: list[str]):
    assert resolve("org/model", "", tmp_path).commit == COMMIT
    (hub / "refs" / "main").unlink()
    assert resolve("org/model", "", tmp_path).commit == NEWER
    assert asked == ["main"]


def test_a_kept_commit_works_offline(hub: Path, tmp_path: Path, asked: list[str]):
    (hub / "refs" / "main").unlink()
    resolve("org/model", "", tmp_path)
    program = f"from stages.models.checkpoint import *; print(resolve('org/model', '', Path({str(tmp_path)!r})).commit)"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == NEWER
    assert asked == ["main"]


@pytest.mark.parametrize(
    ("variable", "below"),
    [
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_hubs_library_has_it(tmp_path: Path, variable: str, below: str):
    program = f"from stages.models.checkpoint import *; print(resolve('org/model', {COMMIT!r}, Path('/')).folder)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGG", "XDG"))}
    command = [sys.executable, "-c", program]
    environment[variable] = str(tmp_path)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert Path(result.stdout.strip()) == tmp_path / below / "models--org--model" / "snapshots" / COMMIT


@pytest.mark.usefixtures("hub")
def test_only_weights_that_can_be_read_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda _repo, **options: calls.append(options))
    component_folder(resolve("org/model", "", tmp_path), "vae")
    (options,) = calls
    assert (options["revision"], options["allow_patterns"]) == (COMMIT, ["vae/*"])
    names = [f"vae/{name}" for name in ("config.json", "m.safetensors", "m.bin", "m.pt", "sub/m.onnx", "m.ckpt")]
    kept = filter_repo_objects(
        names, allow_patterns=options["allow_patterns"], ignore_patterns=options["ignore_patterns"]
    )
    assert list(kept) == ["vae/config.json", "vae/m.safetensors"]


@pytest.mark.usefixtures("hub")
def test_an_unknown_revision_offline_is_reported_with_the_hubs_reason(tmp_path: Path):
    text = message("org/model", "v2", tmp_path)
    assert text.startswith(
        "model.checkpoint = 'org/model': revision 'v2' is not in the hub's cache, and the hub cannot be asked for it "
        "(OfflineModeIsEnabled: Cannot reach "
    )
    assert text.endswith("). Check the name and the network, set model.revision to a commit, or give a folder.")


@pytest.mark.usefixtures("hub")
def test_the_hubs_reason_is_reported_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("403 Client Error.\n\nYou must accept its terms.")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    assert message("org/model", "v2", tmp_path) == (
        "model.checkpoint = 'org/model': revision 'v2' is not in the hub's cache, and the hub cannot be asked for it "
        "(PermissionError: 403 Client Error. You must accept its terms.). Check the name and the network, set "
        "model.revision to a commit, or give a folder."
    )


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("answer", [None, "", "main", "../.."])
def test_an_answer_that_is_no_commit_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None):
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: SimpleNamespace(sha=answer))
    assert message("org/model", "v2", tmp_path) == (
        "model.checkpoint = 'org/model': the hub names no commit for revision 'v2'."
    )


@pytest.mark.parametrize("content", ["", "../..", "main", COMMIT[:-1]])
def test_a_ref_that_holds_no_commit_is_reported(hub: Path, tmp_path: Path, content: str):
    (hub / "refs" / "main").write_text(content)
    assert message("org/model", "", tmp_path) == (
        f"{hub}/refs/main: holds no commit (40 hex digits). Delete it; the hub is asked again."
    )


def test_a_ref_that_cannot_be_read_is_reported(hub: Path, tmp_path: Path):
    (hub / "refs" / "main").write_bytes(b"\xff")
    text = message("org/model", "", tmp_path)
    assert text.startswith(f"{hub}/refs/main: cannot be read ('utf-8' codec can't decode byte 0xff")
    assert text.endswith("). Delete it; the hub is asked again.")


@pytest.mark.usefixtures("asked")
def test_a_cache_that_cannot_be_written_is_reported(hub: Path, tmp_path: Path):
    shutil.rmtree(hub)
    hub.symlink_to(tmp_path / "nowhere")
    assert message("org/model", "", tmp_path) == (
        f"{hub}/refs/main: cannot be written (File exists). Fix its folder's permissions, or set model.revision to "
        f"{NEWER}."
    )


@pytest.mark.usefixtures("hub", "asked")
@pytest.mark.parametrize(
    "revision", ["/etc/hostname", "../main", "a/../../b", "a//b", "a/", ".hidden", "a/.b", "a b", "a\n"]
)
def test_a_revision_that_leads_elsewhere_is_reported(tmp_path: Path, revision: str):
    assert message("org/model", revision, tmp_path) == (
        f"model.revision = {revision!r}: not the name of a branch or tag, and not a commit (40 hex digits). "
        "Correct it in params/model.toml or the video's file."
    )


@pytest.mark.usefixtures("hub")
def test_an_uncached_commit_offline_is_reported_with_the_hubs_reason(tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        component_folder(resolve("org/model", NEWER, tmp_path), "vae")
    text = str(error.value)
    assert text.startswith(f"org/model@{NEWER}: component `vae` cannot be downloaded (LocalEntryNotFoundError: ")
    assert text.endswith("). Check the name and the network, or give a folder.")
