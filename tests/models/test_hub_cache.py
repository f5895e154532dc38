"""What the hub's cache holds of a commit, in the forms in which releases of the hub's library have left it."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
from huggingface_hub import constants

from stages.errors import CheckpointError
from stages.models import hub_cache
from stages.models.hub import cached_files
from stages.models.hub_listing import HubFile
from stages.store.stat_cache import StatCache
from tests.hub_repo import git_sha1
from tests.models.builders import COMMIT

SHA1, SHA256 = "a" * 40, "b" * 64


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `org/model` in an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path / "models--org--model"


def write(repo: Path, path: str, content: bytes) -> Path:
    """A plain file in the snapshot."""
    file = repo / "snapshots" / COMMIT / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def link(repo: Path, path: str, blob: Path, *, is_absolute: bool = False) -> Path:
    """A link in the snapshot."""
    file = repo / "snapshots" / COMMIT / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(blob if is_absolute else os.path.relpath(blob, file.parent))
    return file


def write_blob(repo: Path, blob_id: str, content: bytes = b"{}") -> Path:
    (repo / "blobs").mkdir(parents=True, exist_ok=True)
    (repo / "blobs" / blob_id).write_bytes(content)
    return repo / "blobs" / blob_id


def keep(path: str, blob_id: str, size_bytes: int) -> None:
    hub_cache.keep_listing("org/model", COMMIT, {path: HubFile(blob_id, size_bytes)})


def found() -> dict[str, str]:
    return dict(cached_files("org/model", COMMIT))


@pytest.mark.parametrize("is_absolute", [False, True])
@pytest.mark.parametrize("blob_id", [SHA1, SHA256])
def test_a_linked_file_has_the_name_of_its_blob(repo: Path, blob_id: str, is_absolute: bool):
    link(repo, "vae/config.json", write_blob(repo, blob_id), is_absolute=is_absolute)
    assert found() == {"vae/config.json": blob_id}


def test_a_blob_that_is_itself_a_link_to_a_store_of_the_library_keeps_its_name(repo: Path):
    shared = repo.parent / ".blobs" / "cc" / ("c" * 64)
    shared.parent.mkdir(parents=True)
    shared.write_bytes(b"{}")
    blob = repo / "blobs" / SHA256
    blob.parent.mkdir(parents=True)
    blob.symlink_to(shared)
    link(repo, "config.json", blob)
    assert found() == {"config.json": SHA256}


def test_a_link_that_leads_nowhere_is_no_file(repo: Path):
    link(repo, "config.json", repo / "blobs" / SHA1)
    assert found() == {}


def test_what_is_still_coming_is_no_file(repo: Path):
    write_blob(repo, f"{SHA256}.incomplete")
    link(repo, "config.json", repo / "blobs" / SHA256)
    assert found() == {}


@pytest.mark.parametrize("content", [b"", b"{", b"{}\n"])
def test_a_blob_of_another_size_than_listed_is_not_whole(repo: Path, content: bytes):
    link(repo, "config.json", write_blob(repo, SHA1, content))
    keep("config.json", SHA1, 2)
    assert found() == {}


def test_a_plain_file_has_the_id_that_was_listed_for_its_size(repo: Path):
    write(repo, "config.json", b"{}")
    keep("config.json", SHA1, 2)
    assert found() == {"config.json": SHA1}


def test_a_plain_file_that_was_never_listed_has_the_id_of_its_content(repo: Path):
    write(repo, "vae/config.json", b"{}")
    write(repo, "vae/m.safetensors", b"weights")
    write(repo, "tokenizer/tokenizer.json", large := bytes(10 * 2**20 + 1))
    assert found() == {
        "vae/config.json": git_sha1(b"{}"),
        "vae/m.safetensors": hashlib.sha256(b"weights").hexdigest(),
        "tokenizer/tokenizer.json": hashlib.sha256(large).hexdigest(),
    }


def test_a_link_into_another_folder_has_the_id_of_its_content(repo: Path, tmp_path: Path):
    (tmp_path / SHA1).write_bytes(b"{}")
    link(repo, "config.json", tmp_path / SHA1)
    assert found() == {"config.json": git_sha1(b"{}")}


def test_an_id_that_was_computed_is_remembered(repo: Path, tmp_path: Path):
    file = write(repo, "config.json", b"{}")
    os.utime(file, ns=(0, 0))
    cache = StatCache(tmp_path / "stats.json", clock=lambda: file.stat().st_ctime_ns + 10**10)
    assert cached_files("org/model", COMMIT, cache) == {"config.json": git_sha1(b"{}")}
    cache.save()
    assert git_sha1(b"{}") in (tmp_path / "stats.json").read_text()


def test_a_file_whose_id_cannot_be_computed_is_reported(repo: Path, monkeypatch: pytest.MonkeyPatch):
    file = write(repo, "config.json", b"{}")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(hub_cache, "open_regular", refuse)  # tests may run as root, who may read all
    with pytest.raises(CheckpointError) as error:
        found()
    assert str(error.value) == f"{file}: cannot be read (Permission denied). Check its permissions and its disk."


@pytest.mark.usefixtures("repo")
def test_an_empty_cache_has_no_files_and_no_commits():
    assert found() == {}
    assert hub_cache.find_commits("org/model") == ()


def test_the_commits_of_the_cache_are_its_snapshots(repo: Path):
    for name in (COMMIT, "f" * 40, "main", ".DS_Store"):
        (repo / "snapshots" / name).mkdir(parents=True)
    assert hub_cache.find_commits("org/model") == [COMMIT, "f" * 40]


def test_a_list_of_files_is_kept_where_the_hubs_library_does_not_look(repo: Path):
    keep("config.json", SHA1, 2)
    assert hub_cache.read_listing("org/model", COMMIT) == {"config.json": HubFile(SHA1, 2)}
    assert [path.relative_to(repo).as_posix() for path in repo.rglob("*") if path.is_file()] == [
        f".hunyuan-stages/files-{COMMIT}.json"
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 10**5])
def test_a_damaged_list_of_files_is_none(repo: Path, content: bytes):
    keep("config.json", SHA1, 2)
    (repo / ".hunyuan-stages" / f"files-{COMMIT}.json").write_bytes(content)
    assert hub_cache.read_listing("org/model", COMMIT) is None


def test_in_a_cache_that_cannot_be_written_a_list_is_kept_for_the_process(repo: Path):
    repo.write_text("a file")
    keep("config.json", SHA1, 2)
    assert hub_cache.read_listing("org/model", COMMIT) == {"config.json": HubFile(SHA1, 2)}
    assert hub_cache.read_listing("org/model", "f" * 40) is None
    assert repo.read_text() == "a file"


def test_a_list_that_the_hubs_library_keeps_is_read(repo: Path):
    (repo / "trees").mkdir(parents=True)
    (repo / "trees" / f"{COMMIT}.json").write_text(
        json.dumps({"format_version": 1, "files": {"config.json": {"size": 2, "blob_id": SHA1}}})
    )
    assert hub_cache.read_listing("org/model", COMMIT) == {"config.json": HubFile(SHA1, 2)}
    keep("vae/config.json", SHA1, 3)  # from the hub itself
    assert hub_cache.read_listing("org/model", COMMIT) == {"vae/config.json": HubFile(SHA1, 3)}


def test_what_no_list_names_may_be_in_a_commit(repo: Path):
    write(repo, "vae/config.json", b"{}")
    assert hub_cache.is_known_to_lack("org/model", COMMIT, [])
    assert not hub_cache.is_known_to_lack("org/model", COMMIT, ["vae/a"])


def test_what_the_hubs_library_was_told_is_not_there_is_known(repo: Path):
    (repo / ".no_exist" / COMMIT / "vae").mkdir(parents=True)
    (repo / ".no_exist" / COMMIT / "vae" / "a").touch()
    assert hub_cache.is_known_to_lack("org/model", COMMIT, ["vae/a"])
    assert not hub_cache.is_known_to_lack("org/model", COMMIT, ["vae/a", "vae/b"])


@pytest.mark.parametrize("name", [".gitattributes", "README.md"])
def test_a_commit_of_which_all_was_downloaded_has_no_more(repo: Path, name: str):
    write(repo, name, b"")
    assert hub_cache.is_known_to_lack("org/model", COMMIT, ["vae/a"])
    (repo / "blobs").mkdir()
    (repo / "blobs" / f"{SHA256}.0a1b2c3d.incomplete").touch()  # it was cut
    assert not hub_cache.is_known_to_lack("org/model", COMMIT, ["vae/a"])


def test_a_blob_gets_a_link_in_the_snapshot(repo: Path):
    blob = write_blob(repo, SHA1)
    path = repo / "snapshots" / COMMIT / "vae" / "config.json"
    hub_cache.place(blob, path)
    assert str(path.readlink()) == f"../../../blobs/{SHA1}"
    hub_cache.place(blob, path)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["config.json", f"files-{COMMIT}.json"])
def test_what_another_process_of_this_number_left_is_in_nobodys_way(repo: Path, name: str):
    left = write(repo, f".{name}.{os.getpid()}", b"left")
    hub_cache.place(write_blob(repo, SHA1), left.with_name(name))
    hub_cache.write_whole(left.with_name(f"{name}.txt"), "text")
    assert sorted(path.name for path in left.parent.iterdir()) == sorted([left.name, name, f"{name}.txt"])
    assert left.read_bytes() == b"left"


def test_drafts_of_two_hosts_have_different_names(repo: Path, monkeypatch: pytest.MonkeyPatch):
    drafts: list[Path] = []
    monkeypatch.setattr(Path, "replace", lambda draft, _target: drafts.append(draft))
    for _ in range(2):
        hub_cache.write_whole(repo / "refs" / "main", COMMIT)
        hub_cache.place(repo / "blobs" / SHA1, repo / "snapshots" / COMMIT / "config.json")
    assert len({path.name for path in drafts}) == len(drafts) == 4


def test_without_links_the_blob_itself_gets_into_the_snapshot(repo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    path = repo / "snapshots" / COMMIT / "config.json"
    hub_cache.place(write_blob(repo, SHA1), path)
    assert not path.is_symlink()
    assert path.read_bytes() == b"{}"
    assert list((repo / "blobs").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_refuses_links_gets_the_blob_itself(
    repo: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "symlink_to", refuse)
    path = repo / "snapshots" / COMMIT / "config.json"
    hub_cache.place(write_blob(repo, SHA1), path)
    assert path.read_bytes() == b"{}"


def test_a_hash_is_gits_or_sha256_by_the_length_of_the_id():
    small, large = hub_cache.start_hash(SHA1, 2), hub_cache.start_hash(SHA256, 2)
    for each in (small, large):
        each.update(b"{}")
    assert (small.hexdigest(), large.hexdigest()) == (git_sha1(b"{}"), hashlib.sha256(b"{}").hexdigest())
