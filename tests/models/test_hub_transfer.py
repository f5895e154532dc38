"""One file at a time: resumed after a cut, verified, taken for whole only when it is."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache

from stages.models import hub_transfer
from stages.models.hub import cached_files, fetch, list_files
from stages.models.hub_cache import blob_path, snapshot_folder
from stages.models.hub_listing import HubFile
from tests.hub_repo import Repo
from tests.hub_server import HubServer
from tests.models.builders import FILES, NEWER, WEIGHTS, fetch_message, ignore_progress

SIZE = len(FILES[WEIGHTS])
CONFIG = "vae/config.json"


@pytest.fixture
def repo(server: HubServer) -> Repo:
    return server.repos["org/model"]


def partial(repo: Repo, path: str = WEIGHTS) -> Path:
    """What has come of a file."""
    return blob_path("org/model", f"{repo.blob_id(path)}.incomplete")


def bring(paths: list[str]) -> None:
    fetch("org/model", NEWER, paths, ignore_progress)


def cut_for_good(repo: Repo, after: int) -> None:
    """Cut at so many bytes, and answer nothing else from then on."""
    repo.cut_after[WEIGHTS] = [after] + [0] * 4


def is_whole(path: str = WEIGHTS) -> bool:
    return path in cached_files("org/model", NEWER)


def test_what_was_fetched_is_what_the_hub_has(repo: Repo):
    bring([CONFIG, WEIGHTS])
    for path in (CONFIG, WEIGHTS):
        assert (snapshot_folder("org/model", NEWER) / path).read_bytes() == FILES[path]
    assert cached_files("org/model", NEWER) == {path: repo.blob_id(path) for path in (CONFIG, WEIGHTS)}


def test_a_cut_is_mended_within_the_run_and_no_byte_comes_twice(repo: Repo, server: HubServer):
    repo.cut_after[WEIGHTS] = [300_000, 200_000]
    bring([WEIGHTS])
    assert is_whole()
    assert server.sent_bytes[WEIGHTS] == SIZE


def test_a_cut_of_an_answer_without_a_length_is_gone_on_from(repo: Repo, server: HubServer):
    repo.hides_length = True
    repo.cut_after[WEIGHTS] = [300_000, 200_000]
    bring([WEIGHTS])
    assert is_whole()
    assert server.sent_bytes[WEIGHTS] == SIZE


def test_what_came_of_an_answer_without_a_length_is_kept_for_the_next_run(repo: Repo, server: HubServer):
    repo.hides_length = True
    cut_for_good(repo, 300_000)
    assert f"AnswerCutShortError: the answer ended after 300000 of {SIZE} bytes" in fetch_message([WEIGHTS])
    assert partial(repo).stat().st_size == 300_000
    bring([WEIGHTS])
    assert is_whole()
    assert server.sent_bytes[WEIGHTS] == SIZE


def test_an_answer_without_a_length_that_is_too_long_is_thrown_away(repo: Repo):
    repo.hides_length = True
    repo.served[WEIGHTS] = FILES[WEIGHTS] + b"x"
    assert f"it does not have {SIZE} bytes" in fetch_message([WEIGHTS])
    assert partial(repo).stat().st_size == 0


@pytest.mark.parametrize("path", [WEIGHTS, CONFIG])  # larger and smaller than what Python keeps back
def test_content_is_on_the_disk_before_it_has_its_name(repo: Repo, path: str, monkeypatch: pytest.MonkeyPatch):
    synced: list[bool] = []
    blob = blob_path("org/model", repo.blob_id(path))
    sync = os.fsync

    def note(descriptor: int) -> None:
        if os.fstat(descriptor).st_size == len(FILES[path]):  # threads of other tests may sync, too
            synced.append(blob.exists())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    bring([path])
    assert synced == [False]


def test_after_a_cut_the_next_run_goes_on_from_there(repo: Repo, server: HubServer):
    cut_for_good(repo, 300_000)
    fetch_message([WEIGHTS])
    assert not is_whole()
    assert partial(repo).stat().st_size == server.sent_bytes[WEIGHTS] == 300_000
    bring([WEIGHTS])
    assert is_whole()
    assert server.sent_bytes[WEIGHTS] == SIZE
    assert server.asked[-1].range == "bytes=300000-"
    assert not partial(repo).exists()


def test_what_an_older_release_of_the_library_left_is_gone_on_from(repo: Repo, server: HubServer):
    partial(repo).parent.mkdir(parents=True)
    partial(repo).write_bytes(FILES[WEIGHTS][:1000])
    bring([WEIGHTS])
    assert server.sent_bytes[WEIGHTS] == SIZE - 1000


@pytest.mark.parametrize("left", [b"garbage" * 100, bytes(SIZE), bytes(SIZE + 1)])
def test_damaged_bytes_of_an_earlier_run_are_thrown_away(repo: Repo, left: bytes):
    partial(repo).parent.mkdir(parents=True)
    partial(repo).write_bytes(left)
    bring([WEIGHTS])
    assert is_whole()
    assert (snapshot_folder("org/model", NEWER) / WEIGHTS).read_bytes() == FILES[WEIGHTS]


def test_a_file_that_had_come_whole_is_not_asked_for_again(repo: Repo, server: HubServer):
    partial(repo).parent.mkdir(parents=True)
    partial(repo).write_bytes(FILES[WEIGHTS])
    bring([WEIGHTS])
    assert is_whole()
    assert WEIGHTS not in server.sent_bytes


def test_a_hub_that_ignores_ranges_sends_all_again(repo: Repo, server: HubServer):
    repo.ignores_ranges = True
    repo.cut_after[WEIGHTS] = [300_000]
    bring([WEIGHTS])
    assert is_whole()
    assert server.sent_bytes[WEIGHTS] == SIZE + 300_000


def test_an_empty_file_is_fetched(repo: Repo):
    repo.files = {**FILES, "vae/empty.txt": b""}
    bring(["vae/empty.txt"])
    assert is_whole("vae/empty.txt")


@pytest.mark.parametrize("path", [WEIGHTS, CONFIG])
def test_a_file_with_another_hash_is_refused_and_fetched_again_by_the_next_run(
    repo: Repo, server: HubServer, path: str
):
    repo.served[path] = bytes(len(FILES[path]))
    assert fetch_message([path]) == (
        f"{server.endpoint}/org/model/resolve/{NEWER}/{path}: what comes is not what the hub lists: its hash is "
        "another. It was thrown away; nothing of it is in the cache. Run it again; if that does not help, what is "
        "between here and the hub changes files."
    )
    assert not is_whole(path)
    assert partial(repo, path).stat().st_size == 0
    del repo.served[path]
    bring([path])
    assert is_whole(path)


@pytest.mark.parametrize("content", [b"", b"short", FILES[WEIGHTS] + b"x", bytes(3 * SIZE)])
def test_a_file_with_another_size_is_refused_and_fetched_again_by_the_next_run(
    repo: Repo, server: HubServer, content: bytes
):
    repo.served[WEIGHTS] = content
    assert fetch_message([WEIGHTS]) == (
        f"{server.endpoint}/org/model/resolve/{NEWER}/{WEIGHTS}: what comes is not what the hub lists: it does not "
        f"have {SIZE} bytes. It was thrown away; nothing of it is in the cache. Run it again; if that does not help, "
        "what is between here and the hub changes files."
    )
    assert not is_whole()
    repo.served.clear()
    bring([WEIGHTS])
    assert is_whole()


def test_a_file_that_shrank_under_what_has_come_is_refused(repo: Repo):
    cut_for_good(repo, 300_000)
    fetch_message([WEIGHTS])
    repo.served[WEIGHTS] = b"short"  # so that the range is answered with 416
    assert "it does not have 1048576 bytes" in fetch_message([WEIGHTS])
    repo.served.clear()
    bring([WEIGHTS])
    assert is_whole()


def test_what_has_come_outlives_an_answer_that_is_something_else(repo: Repo, server: HubServer):
    cut_for_good(repo, 300_000)
    fetch_message([WEIGHTS])
    sent_bytes = server.sent_bytes[WEIGHTS]
    repo.served[WEIGHTS], repo.ignores_ranges = b"<html>Log in first</html>", True
    said = fetch_message([WEIGHTS])
    assert "it does not have 1048576 bytes. It was thrown away; the 300000 bytes that had come before are kept." in said
    assert partial(repo).stat().st_size == 300_000
    repo.served[WEIGHTS], repo.ignores_ranges = b"short", False  # the range is answered with 416
    fetch_message([WEIGHTS])
    assert partial(repo).stat().st_size == 300_000
    repo.served.clear()
    server.sent_bytes.clear()
    bring([WEIGHTS])
    assert is_whole()
    assert (sent_bytes, server.sent_bytes[WEIGHTS]) == (300_000, SIZE - 300_000)


def test_content_that_another_commit_has_is_linked_and_not_fetched(repo: Repo, server: HubServer):
    blob = blob_path("org/model", repo.blob_id(WEIGHTS))
    blob.parent.mkdir(parents=True)
    blob.write_bytes(FILES[WEIGHTS])
    bring([WEIGHTS])
    assert is_whole()
    assert WEIGHTS not in server.sent_bytes


def test_a_blob_that_was_cut_after_it_was_whole_is_fetched_again(repo: Repo):
    bring([WEIGHTS])
    blob_path("org/model", repo.blob_id(WEIGHTS)).write_bytes(b"cut")
    assert not is_whole()
    bring([WEIGHTS])
    assert is_whole()


def start_fetching(server: HubServer, cache: Path) -> subprocess.Popen[bytes]:
    """A process of its own that fetches the weights."""
    program = f"from stages.models.hub import fetch; fetch('org/model', {NEWER!r}, [{WEIGHTS!r}], lambda *_: None)"
    environment = {**os.environ, "HF_ENDPOINT": server.endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}
    return subprocess.Popen([sys.executable, "-c", program], env=environment)


def wait_for_bytes(server: HubServer, num_bytes: int) -> None:
    deadline = time.monotonic() + 60
    while server.sent_bytes.get(WEIGHTS, 0) < num_bytes:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_processes_that_fetch_the_same_fetch_it_once(repo: Repo, server: HubServer, tmp_path: Path):
    repo.pause_s = 0.1
    both = [start_fetching(server, tmp_path / "hub") for _ in range(2)]
    assert [each.wait(60) for each in both] == [0, 0]
    assert is_whole()
    assert server.sent_bytes[WEIGHTS] == SIZE


def test_when_one_of_two_is_killed_the_other_goes_on_from_there(repo: Repo, server: HubServer, tmp_path: Path):
    repo.pause_s = 0.2
    first = start_fetching(server, tmp_path / "hub")
    wait_for_bytes(server, 400_000)
    second = start_fetching(server, tmp_path / "hub")
    first.kill()
    first.wait()
    come = partial(repo).stat().st_size
    assert second.wait(60) == 0
    assert is_whole()
    assert come > 300_000
    assert server.asked[-1].range == f"bytes={come}-"


def test_the_bytes_still_to_come_are_counted(repo: Repo):
    file = HubFile(repo.blob_id(WEIGHTS), SIZE)
    assert hub_transfer.count_missing_bytes("org/model", file) == SIZE
    partial(repo).parent.mkdir(parents=True)
    partial(repo).write_bytes(FILES[WEIGHTS][:1000])
    assert hub_transfer.count_missing_bytes("org/model", file) == SIZE - 1000
    bring([WEIGHTS])
    assert hub_transfer.count_missing_bytes("org/model", file) == 0


@pytest.mark.usefixtures("server")
def test_the_hubs_library_finds_what_was_fetched(tmp_path: Path):
    bring([*FILES])
    folder = str(tmp_path / "hub")
    assert snapshot_download("org/model", revision=NEWER, cache_dir=folder, local_files_only=True)
    assert try_to_load_from_cache("org/model", WEIGHTS, cache_dir=folder, revision=NEWER) == str(
        snapshot_folder("org/model", NEWER) / WEIGHTS
    )
    (known,) = scan_cache_dir(folder).repos
    assert known.nb_files == len(FILES)


def test_what_the_hubs_library_fetched_is_found(server: HubServer, repo: Repo, tmp_path: Path):
    program = f"from huggingface_hub import snapshot_download; snapshot_download('org/model', revision={NEWER!r})"
    environment = {**os.environ, "HF_ENDPOINT": server.endpoint, "HF_HUB_CACHE": str(tmp_path / "hub")}
    environment |= {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    num_asked = len(server.asked)
    bring([*FILES])
    assert cached_files("org/model", NEWER) == {path: repo.blob_id(path) for path in FILES}
    assert list_files("org/model", NEWER) == {path: repo.blob_id(path) for path in FILES}
    assert len(server.asked) == num_asked
