"""A project at a git revision."""

import os
from pathlib import Path

import pytest

from stages.diff.revision import find_revision, write_revision
from stages.errors import StageError
from tests.builders import files_below
from tests.diff.repository import commit_all, git


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with two commits."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "dodo.py").write_text("one")
    commit_all(root)
    (root / "dodo.py").write_text("two")
    commit_all(root)
    return root


def test_a_revision_is_found_by_any_name_that_git_knows(root: Path):
    commit = git(root, "rev-parse", "HEAD~1").strip()
    git(root, "tag", "v1", commit)
    for name in ("HEAD~1", "v1", commit, commit[:8]):
        assert find_revision(name, root).commit == commit


def test_people_see_the_name_and_the_commit(root: Path):
    commit = git(root, "rev-parse", "HEAD").strip()
    assert str(find_revision("main", root)) == f"main ({commit[:12]})"
    assert str(find_revision(commit, root)) == commit[:12]


def test_its_files_are_those_of_then(root: Path, tmp_path: Path):
    project = write_revision(find_revision("HEAD~1", root), tmp_path / "then")
    assert files_below(project) == {"dodo.py": b"one"}


def test_nothing_in_the_repository_changes(root: Path, tmp_path: Path):
    before = files_below(root)
    write_revision(find_revision("HEAD~1", root), tmp_path / "then")
    assert files_below(root) == before


def test_a_project_in_a_folder_of_a_repository_is_found_there(root: Path, tmp_path: Path):
    project = root / "videos"
    project.mkdir()
    (project / "dodo.py").write_text("videos")
    commit_all(root)
    then = write_revision(find_revision("HEAD", project), tmp_path / "then")
    assert then.name == "videos"
    assert (then / "dodo.py").read_text() == "videos"


@pytest.mark.parametrize("change", [lambda root: (root / "dodo.py").write_text("3"), lambda root: (root / "n").touch()])
def test_uncommitted_changes_are_known(root: Path, change):  # type: ignore[no-untyped-def]
    assert not find_revision("HEAD", root).has_changes
    change(root)
    assert find_revision("HEAD", root).has_changes


def test_what_python_has_compiled_is_no_change(root: Path):
    for folder in ("__pycache__", "stages/of_ours/__pycache__"):
        (root / folder).mkdir(parents=True)
        (root / folder / "dodo.cpython-311.pyc").touch()
    assert not find_revision("HEAD", root).has_changes


def test_a_hook_of_git_may_ask_from_another_folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    project = root / "videos"
    project.mkdir()
    (project / "dodo.py").write_text("videos")
    commit = commit_all(root)
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    found = find_revision("HEAD", project)
    assert (found.commit, found.project) == (commit, Path("videos"))
    assert (write_revision(found, tmp_path / "then") / "dodo.py").read_text() == "videos"


@pytest.mark.parametrize("name", ["nosuch", "HEAD~9", "--help", "", "HEAD:dodo.py", "f" * 40, "a..b"])
def test_a_revision_that_is_not_there_is_one_message(root: Path, name: str):
    with pytest.raises(StageError) as refused:
        find_revision(name, root)
    assert str(refused.value) == (
        f"{name}: no such revision in {root}. `git log --oneline` lists commits, `git branch` and `git tag` names. One "
        "of another clone is there after `git fetch`."
    )


def test_a_folder_without_a_repository_is_one_message(tmp_path: Path):
    with pytest.raises(StageError) as refused:
        find_revision("HEAD", tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}: is in no git repository that can be read (")


def test_a_repository_without_a_commit_has_no_revision(tmp_path: Path):
    git(tmp_path, "init", "--quiet")
    with pytest.raises(StageError, match=r"^HEAD: no such revision"):
        find_revision("HEAD", tmp_path)


def test_without_git_one_message_says_so(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StageError) as refused:
        find_revision("HEAD", root)
    assert str(refused.value) == "git: is not installed, or not in PATH. Install it: it has the revisions."


def test_a_revision_before_the_project_is_one_message(root: Path, tmp_path: Path):
    project = root / "videos"
    project.mkdir()
    (project / "dodo.py").touch()
    revision = find_revision("HEAD", project)
    with pytest.raises(StageError) as refused:
        write_revision(revision, tmp_path / "then")
    assert str(refused.value) == f"{revision}: has no videos/dodo.py: there was no such project yet."


def test_the_name_of_a_folder_can_be_any_bytes(root: Path, tmp_path: Path):
    other = tmp_path / os.fsdecode(b"odd\xff folder")
    root.rename(other)
    assert files_below(write_revision(find_revision("HEAD~1", other), tmp_path / "then")) == {"dodo.py": b"one"}
