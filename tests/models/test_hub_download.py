"""Several files: in what order they come, the room for them, and how far they are."""

import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from stages.models.hub import cached_files, fetch
from tests.hub_server import HubServer
from tests.models.builders import FILES, NEWER, WEIGHTS, fetch_message, ignore_progress

TOTAL = sum(map(len, FILES.values()))


def progress_of(server: HubServer, *, pause_s: float) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    server.repos["org/model"].pause_s = pause_s
    fetch("org/model", NEWER, FILES, lambda done, total: seen.append((done, total)))
    return seen


def test_the_progress_goes_from_nothing_to_all_bytes_and_never_back(server: HubServer):
    seen = progress_of(server, pause_s=0.05)
    assert seen[0][0] < 100
    assert seen[-1] == (TOTAL, TOTAL)
    assert {total for _, total in seen} == {TOTAL}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) > 3


def test_a_download_of_many_files_reports_five_times_a_second(server: HubServer):
    server.repos["org/model"].files = {f"{number}.txt": b"x" * number for number in range(1, 100)}
    seen: list[float] = []
    fetch("org/model", NEWER, server.repos["org/model"].files, lambda *_: seen.append(time.monotonic()))
    assert len(seen) <= 5 * (seen[-1] - seen[0]) + 2  # the first, and the last in any case


def test_after_a_cut_the_progress_begins_with_what_is_there(server: HubServer):
    server.repos["org/model"].cut_after[WEIGHTS] = [500_000, 0, 0, 0, 0]
    fetch_message([WEIGHTS])
    seen: list[tuple[int, int]] = []
    fetch("org/model", NEWER, [WEIGHTS], lambda done, total: seen.append((done, total)))
    assert seen[0] == (500_000, len(FILES[WEIGHTS]))


def test_what_is_refused_is_so_before_the_large_files_come(server: HubServer):
    server.repos["org/model"].is_gated = True
    fetch_message()
    assert server.sent_bytes == {}


def test_only_the_files_that_are_asked_for_come(server: HubServer):
    fetch("org/model", NEWER, ["vae/config.json"], ignore_progress)
    assert set(server.sent_bytes) == {"vae/config.json"}


def test_a_disk_that_is_too_small_is_reported_before_anything_comes(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**19))
    assert fetch_message() == (
        f"{tmp_path}/hub/models--org--model: what is missing of the checkpoint has 2 MiB, and its disk has room for 0. "
        "Make room, or set HF_HUB_CACHE to a folder on another disk."
    )
    assert server.sent_bytes == {}


@contextmanager
def files_end_at(num_bytes: int) -> Iterator[None]:
    """The system refuses to make a file of this process larger, as it does where a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_reported_and_what_came_is_gone_on_from(server: HubServer, tmp_path: Path):
    with files_end_at(700_000):
        assert fetch_message() == (
            f"{tmp_path}/hub/models--org--model: File too large. The hub's cache cannot take the checkpoint. Fix that, "
            "or set HF_HUB_CACHE to another folder; what has come is kept."
        )
    assert WEIGHTS not in cached_files("org/model", NEWER)
    sent = server.sent_bytes[WEIGHTS]
    fetch("org/model", NEWER, [WEIGHTS], ignore_progress)
    assert WEIGHTS in cached_files("org/model", NEWER)
    assert server.asked[-1].range == "bytes=700000-"
    assert sent >= 700_000


def test_a_cache_that_cannot_be_written_is_reported(server: HubServer, tmp_path: Path):
    (tmp_path / "hub").write_text("a file")
    assert fetch_message() == (
        f"{tmp_path}/hub/models--org--model: Not a directory. The hub's cache cannot take the checkpoint. Fix that, or "
        "set HF_HUB_CACHE to another folder; what has come is kept."
    )
    assert server.sent_bytes == {}
