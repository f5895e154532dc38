"""A hub's cache, and a hub that answers."""

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants

from tests.models.builders import COMMIT, NEWER


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds `org/model` at COMMIT under the branch main."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "hub" / "models--org--model"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    (repo / "snapshots" / COMMIT / "vae").mkdir(parents=True)
    (repo / "snapshots" / COMMIT / "vae" / "config.json").write_text("{}")
    return repo


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The revisions that a hub, whose newest commit is NEWER, has been asked for."""
    revisions: list[str] = []

    def model_info(_self: object, _repo: str, *, revision: str) -> SimpleNamespace:
        revisions.append(revision)
        return SimpleNamespace(sha=NEWER)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    return revisions
