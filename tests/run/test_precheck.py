"""What is looked at before a run makes anything."""

from pathlib import Path

import pytest

from stages.errors import StageError
from stages.run.loading import load_build
from tests.hub_repo import Repo
from tests.hub_server import ask_here, serve
from tests.project import SHAPES, copy_params


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)


def test_a_video_whose_checkpoint_the_hub_refuses_is_checked_once(root: Path, monkeypatch: pytest.MonkeyPatch):
    with serve({"org/shapes": Repo.of_folder(SHAPES, is_gated=True)}) as server:
        ask_here(server, root / "hub", monkeypatch)
        build = load_build(root, {"model.checkpoint": "org/shapes"})
        names = {node.title for node in build.graph.all_nodes()}
        faults = build.precheck.check(names, lambda _: True)
        assert "the repository is gated" in str(faults["demo"])
        num_asked = len(server.asked)
        assert build.precheck.check(names, lambda _: True) == faults
        for node in build.graph.all_nodes():
            with pytest.raises(StageError, match="the repository is gated"):
                build.run(node, print)
    assert len(server.asked) == num_asked
