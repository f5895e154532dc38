"""A hub's cache, and a hub that answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from stages.models import hub_client
from tests.hub_repo import Repo
from tests.hub_server import HubServer, serve
from tests.models.builders import COMMIT, FILES, LARGE, NEWER


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds a VAE of `org/model` at COMMIT under the branch main."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "hub" / "models--org--model"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    (repo / "snapshots" / COMMIT / "vae").mkdir(parents=True)
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (repo / "snapshots" / COMMIT / "vae" / name).write_text("{}")
    return repo


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that has `org/model`, whose newest commit is NEWER; the hub's library asks it, and waits for little."""
    revisions = frozenset({"main", "v2", "v2.0", "refs/pr/1"})
    with serve({"org/model": Repo(FILES, LARGE, commit=NEWER, revisions=revisions, answer=NEWER)}) as hub_server:
        monkeypatch.setattr(constants, "ENDPOINT", hub_server.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
        monkeypatch.setattr(hub_client, "_WAITS_S", (0.01, 0.01, 0.01, 0.01))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub_server


@pytest.fixture
def asked(server: HubServer) -> list[str]:
    """The revisions that a hub, whose newest commit is NEWER, has been asked for."""
    return server.asked_revisions
