"""The hub is asked once, its cache is read and written with care, and only what can be read is downloaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from stages.errors import CheckpointError
from stages.models.checkpoint import open_component
from stages.models.hub import fetch, list_files, require_access, would_ask
from stages.models.places import resolve
from stages.pipeline.component import Component
from tests.hub_server import HubServer
from tests.models.builders import COMMIT, FILES, NEWER, WEIGHTS, ignore_progress, message

VAE = Component("vae", weights="diffusion_pytorch_model")


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
    program = f"from stages.models.places import *; print(resolve('org/model', '', Path({str(tmp_path)!r})).commit)"
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
    program = f"from stages.models.places import *; print(resolve('org/model', {COMMIT!r}, Path('/')).folder)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGG", "XDG"))}
    command = [sys.executable, "-c", program]
    environment[variable] = str(tmp_path)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert Path(result.stdout.strip()) == tmp_path / below / "models--org--model" / "snapshots" / COMMIT


def test_only_the_files_that_are_read_are_downloaded(server: HubServer, tmp_path: Path):
    opened = open_component(resolve("org/model", "", tmp_path), VAE)
    assert set(server.sent_bytes) == {"vae/config.json", WEIGHTS}
    assert sorted(path.name for path in opened.folder.iterdir()) == ["config.json", Path(WEIGHTS).name]


@pytest.mark.usefixtures("hub")
def test_an_unknown_revision_offline_is_reported_with_the_commits_that_are_there(tmp_path: Path):
    assert message("org/model", "v2", tmp_path) == (
        "model.checkpoint = 'org/model': the commit of its revision 'v2' is not known: HF_HUB_OFFLINE is set, "
        f"so the hub is not asked. Unset it. The cache has {COMMIT}: set model.revision = '{COMMIT}'."
    )


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("answer", [None, "", "main", "../..", 7, {}])
def test_an_answer_that_is_no_commit_is_reported(server: HubServer, tmp_path: Path, answer: object):
    server.repos["org/model"].answer = answer
    assert message("org/model", "v2", tmp_path) == (
        "model.checkpoint = 'org/model': the hub names no commit for revision 'v2'."
    )


@pytest.mark.parametrize("length", [7, 12, 39])
def test_a_short_commit_that_the_cache_has_is_not_asked_for(hub: Path, tmp_path: Path, length: int):
    (hub / "refs" / "main").unlink()
    assert resolve("org/model", COMMIT[:length], tmp_path).commit == COMMIT
    assert not hub_would_ask(COMMIT[:length])


def test_a_short_commit_of_two_that_the_cache_has_is_asked_for(hub: Path, asked: list[str], tmp_path: Path):
    (hub / "snapshots" / (COMMIT[:-1] + "f")).mkdir()
    assert hub_would_ask(COMMIT[:8])
    assert "has no revision '01234567'" in message("org/model", COMMIT[:8], tmp_path)
    assert asked == []


def test_a_branch_goes_before_a_short_commit_of_its_name(hub: Path, tmp_path: Path):
    (hub / "refs" / COMMIT[:8]).write_text(NEWER)
    assert resolve("org/model", COMMIT[:8], tmp_path).commit == NEWER


def hub_would_ask(revision: str) -> bool:
    return would_ask("org/model", revision)


def test_the_files_of_a_commit_are_asked_for_once(server: HubServer):
    repo = server.repos["org/model"]
    expected = {path: repo.blob_id(path) for path in FILES}
    assert [list_files("org/model", NEWER) for _ in range(3)] == [expected] * 3
    assert len(server.asked) == -(-len(repo.tree()) // repo.page)


def test_with_a_cache_that_cannot_be_written_the_files_of_a_commit_are_asked_for_once(server: HubServer, hub: Path):
    (hub / ".hunyuan-stages").write_text("a file in place of the folder")
    listed = [list_files("org/model", NEWER) for _ in range(3)]
    assert listed == [{path: server.repos["org/model"].blob_id(path) for path in FILES}] * 3
    assert server.num_of_models == -(-len(server.repos["org/model"].tree()) // server.repos["org/model"].page)


@pytest.mark.usefixtures("server")
def test_a_damaged_list_of_files_is_asked_for_again(tmp_path: Path):
    listed = list_files("org/model", NEWER)
    (kept,) = (tmp_path / "hub").rglob("files-*.json")
    kept.write_text("{")
    assert list_files("org/model", NEWER) == listed
    assert kept.read_text() != "{"


def test_files_that_are_there_are_fetched_without_asking(hub: Path):
    fetch("org/model", COMMIT, ["vae/config.json"], ignore_progress)  # the hub cannot be asked here
    require_access("org/model", COMMIT, ["vae/config.json"])
    assert (hub / "snapshots" / COMMIT / "vae" / "config.json").read_text() == "{}"


@pytest.mark.parametrize("paths", [[*FILES], [WEIGHTS]])
def test_access_is_found_out_by_a_byte_of_which_nothing_is_kept(server: HubServer, paths: list[str], tmp_path: Path):
    require_access("org/model", NEWER, paths)
    assert [(each.path, each.range) for each in server.asked][-2:] == [
        (f"/org/model/resolve/{NEWER}/{WEIGHTS}", "bytes=0-0"),
        (f"/cdn/org/model/{WEIGHTS}", "bytes=0-0"),
    ]
    assert sum(server.sent_bytes.values()) <= 1
    assert not list((tmp_path / "hub").rglob("blobs"))


def test_access_to_files_that_are_there_is_not_asked_for(server: HubServer):
    fetch("org/model", NEWER, FILES, ignore_progress)
    num_asked = len(server.asked)
    require_access("org/model", NEWER, FILES)
    assert len(server.asked) == num_asked


def test_access_to_an_empty_file_is_found_out(server: HubServer):
    server.repos["org/model"].files = {"empty.txt": b""}
    require_access("org/model", NEWER, ["empty.txt"])


def test_access_is_found_out_at_a_hub_that_ignores_ranges(server: HubServer):
    server.repos["org/model"].ignores_ranges = True
    require_access("org/model", NEWER, [WEIGHTS])


def test_access_that_is_not_given_is_found_out_before_anything_comes(server: HubServer):
    server.repos["org/model"].is_gated = True
    with pytest.raises(CheckpointError, match="the repository is gated"):
        require_access("org/model", NEWER, FILES)
    assert server.sent_bytes == {}


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
        f"{hub}/refs/main: cannot be written (File exists). Fix its folder's permissions, or set "
        f"model.revision = '{NEWER}'."
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


def test_an_uncached_commit_offline_is_reported_with_what_is_missing(hub: Path, tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        open_component(resolve("org/model", NEWER, tmp_path), VAE)
    assert str(error.value).startswith(
        f"org/model@{NEWER}: not in the hub's cache, or not known to be whole there ({hub}):\n  vae/*\n"
    )
