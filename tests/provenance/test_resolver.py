"""Where the same weights are found in a project."""

import shutil
from pathlib import Path

import pytest

from stages.errors import CheckpointError
from stages.provenance.project import open_project
from stages.provenance.record import Record, parse_line
from stages.provenance.resolver import Resolver
from stages.provenance.tables import read_tables
from tests.project import SHAPES
from tests.provenance.videos import build_empty_project, build_project, change_vae, line_of, nodes_of

BEGIN = "The weights that made it are here: "


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project; nothing in it is changed by a test."""
    return build_project(tmp_path_factory.mktemp("made") / "project")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return build_empty_project(tmp_path / "empty")


def record_of(root: Path, **overrides: str) -> Record:
    return Record("night.mp4", "a video", "itself", parse_line(line_of(root, **overrides)))


def resolver_of(root: Path, record: Record) -> Resolver:
    project = open_project(root, {})
    return Resolver(project, "night", read_tables(record, project.pipeline).values)


def advice(root: Path, record: Record, **where: str) -> str:
    dotted = {name.replace("__", "."): text for name, text in where.items()}
    return resolver_of(root, record).advise(record, dotted)


def test_the_nodes_are_those_of_the_tables_and_overrides(made: Path, empty: Path):
    resolver = resolver_of(empty, record_of(made))
    assert resolver.resolve({}).nodes == nodes_of(made)
    assert resolver.resolve({"denoise.seed": "7"}).nodes == nodes_of(made, denoise_seed="7")


def test_a_checkpoint_that_cannot_be_used_is_an_error(made: Path, empty: Path):
    with pytest.raises(CheckpointError, match=r"^model.checkpoint = 'gone': no such folder"):
        resolver_of(empty, record_of(made)).resolve({"model.checkpoint": "gone"})


def test_the_built_in_checkpoint_is_advised_where_it_has_the_weights(made: Path, empty: Path):
    assert advice(empty, record_of(made)) == f"{BEGIN}add `model.checkpoint=builtin:shapes`."


def test_where_others_were_named_the_project_s_own_are_advised(made: Path, empty: Path):
    assert advice(empty, record_of(made), model__checkpoint="my others") == (
        f"{BEGIN}leave out `'model.checkpoint=my others'`."
    )


def test_weights_that_another_video_of_the_project_names_are_advised(made: Path, empty: Path):
    folder = change_vae(empty / "changed")
    shutil.copytree(folder / "vae", empty / "my vae")
    (empty / "params/videos").mkdir()
    (empty / "params/videos/broken.toml").write_text("[model\n")
    (empty / "params/videos/odd.toml").write_text("model = 7\n")
    (empty / "params/videos/other.toml").write_text('[model.components]\nvae = "my vae"\n')
    assert advice(empty, record_of(made, model_checkpoint=str(folder))) == (
        f"{BEGIN}add `'model.components.vae=my vae'`."
    )


def test_weights_that_are_nowhere_are_to_be_named(made: Path, empty: Path, tmp_path: Path):
    record = record_of(made, model_checkpoint=str(change_vae(tmp_path / "far away")))
    assert advice(empty, record) == (
        "Say where its weights are: `model.checkpoint=...`, a folder or a hub id, or `model.components.NAME=...`."
    )


def test_digests_that_were_read_are_kept(made: Path, empty: Path):
    shutil.copytree(SHAPES, empty / "copied")
    resolver = resolver_of(empty, record_of(made))
    resolver.resolve({"model.checkpoint": "copied"})
    assert "copied/vae" in (empty / "artifacts/.stat-cache.json").read_text()
