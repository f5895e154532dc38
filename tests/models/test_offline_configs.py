"""Settings of components, found without the hub and without weights."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from stages.decode.config import check_geometry, parse_config
from stages.denoise.config import TransformerConfig, parse_transformer_config
from stages.errors import CheckpointError
from stages.models.offline_configs import read_config

COMMUNITY = "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def write_cached(hub: Path, repo: str, settings: dict[str, object]) -> None:
    cached = hub / f"models--{repo.replace('/', '--')}"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    folder = cached / "snapshots" / COMMIT / "vae"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(("kind", "target_size"), [("480p_t2v", 640), ("720p_t2v", 960)])
def test_the_hub_checkpoints_transformers_have_diffusers_default_sizes(tmp_path: Path, kind: str, target_size: int):
    settings = read_config(f"{COMMUNITY}-{kind}", "", tmp_path, "transformer")
    assert parse_transformer_config(settings) == TransformerConfig(target_size=target_size, task_type="t2v")


@pytest.mark.parametrize("kind", ["480p_t2v", "720p_t2v"])
def test_the_hub_checkpoints_decoders_can_be_decoded_with(tmp_path: Path, kind: str):
    settings = read_config(f"{COMMUNITY}-{kind}", "", tmp_path, "vae")
    config = parse_config(settings)
    check_geometry(config, where=settings.where)
    assert config.block_channels == (1024, 1024, 512, 256, 128)


def test_what_the_hubs_cache_holds_goes_before_what_ships(tmp_path: Path, hub: Path):
    write_cached(hub, f"{COMMUNITY}-480p_t2v", {"scaling_factor": 2.0})
    assert read_config(f"{COMMUNITY}-480p_t2v", "", tmp_path, "vae").values == {"scaling_factor": 2.0}


def test_what_ships_is_of_no_revision(tmp_path: Path):
    checkpoint = f"{COMMUNITY}-480p_t2v"
    with pytest.raises(CheckpointError) as caught:
        read_config(checkpoint, "v2", tmp_path, "vae")
    assert str(caught.value) == (
        f"model.revision = 'v2': vae/config.json of {checkpoint} is not in the hub's cache, and what this package has "
        f"is of no revision. Run `hf download {checkpoint} vae/config.json --revision v2`, or set model.revision = ''."
    )


def test_what_ships_is_of_no_revision_of_a_component_either(tmp_path: Path):
    place = f"{COMMUNITY}-480p_t2v"
    with pytest.raises(CheckpointError) as caught:
        read_config("builtin:shapes", "", tmp_path, "vae", {"vae": f"{place}@v2"})
    assert str(caught.value) == (
        f"model.components.vae = '{place}@v2': vae/config.json of {place} is not in the hub's cache, and what this "
        f"package has is of no revision. Run `hf download {place} vae/config.json --revision v2`, or set "
        f"model.components.vae = '{place}'."
    )


def test_what_the_hubs_cache_lacks_is_what_ships(tmp_path: Path, hub: Path):
    write_cached(hub, f"{COMMUNITY}-480p_t2v", {})
    assert read_config(f"{COMMUNITY}-480p_t2v", "", tmp_path, "transformer").values["num_layers"] == 54


def test_a_folder_gives_its_own(tmp_path: Path):
    (tmp_path / "model" / "vae").mkdir(parents=True)
    (tmp_path / "model" / "vae" / "config.json").write_text('{"_class_name": "A", "_diffusers_version": "1", "b": 2}')
    assert read_config("model", "", tmp_path, "vae").values == {"_class_name": "A", "b": 2}


def test_a_folder_without_the_file_is_reported(tmp_path: Path):
    (tmp_path / "model").mkdir()
    with pytest.raises(CheckpointError) as caught:
        read_config("model", "", tmp_path, "vae")
    path = tmp_path / "model" / "vae" / "config.json"
    assert str(caught.value) == (
        f"{path}: cannot be read (No such file or directory). Download or copy the checkpoint again."
    )


def test_an_unknown_hub_id_is_reported_and_nobody_is_asked(tmp_path: Path):
    with pytest.raises(CheckpointError) as caught:
        read_config("org/model", "", tmp_path, "vae")
    assert str(caught.value) == (
        "model.checkpoint = 'org/model': its vae/config.json is neither in the hub's cache nor part of this "
        f"package, which has those of {COMMUNITY}-480p_t2v, {COMMUNITY}-720p_t2v. Download the checkpoint's configs, "
        "or give a folder."
    )


def test_an_unknown_component_is_reported_by_its_parameter(tmp_path: Path):
    with pytest.raises(CheckpointError) as caught:
        read_config("builtin:shapes", "", tmp_path, "vae", {"vae": "org/vaes@v1"})
    assert str(caught.value).startswith("model.components.vae = 'org/vaes@v1': its vae/config.json is neither in the")


@pytest.mark.parametrize("place", ["other", "other/vae"])
def test_a_component_from_elsewhere_gives_its_own(tmp_path: Path, place: str):
    (tmp_path / "other" / "vae").mkdir(parents=True)
    (tmp_path / "other" / "vae" / "config.json").write_text('{"b": 3}')
    assert read_config("org/unknown", "", tmp_path, "vae", {"vae": place}).values == {"b": 3}


def test_a_component_from_a_hub_id_is_found_in_its_cache_and_among_what_ships(tmp_path: Path, hub: Path):
    write_cached(hub, "org/vaes", {"b": 4})
    assert read_config("builtin:shapes", "", tmp_path, "vae", {"vae": "org/vaes"}).values == {"b": 4}
    assert read_config("builtin:shapes", "", tmp_path, "vae", {"vae": f"org/vaes@{COMMIT}"}).values == {"b": 4}
    shipped = read_config("builtin:shapes", "", tmp_path, "vae", {"vae": f"{COMMUNITY}-480p_t2v"})
    assert shipped == read_config(f"{COMMUNITY}-480p_t2v", "", tmp_path, "vae")


def test_other_components_are_the_checkpoints(tmp_path: Path):
    own = read_config("builtin:shapes", "", tmp_path, "transformer")
    assert read_config("builtin:shapes", "", tmp_path, "transformer", {"vae": "org/unknown"}) == own


def test_a_byte_order_mark_is_no_fault(tmp_path: Path):
    (tmp_path / "model" / "vae").mkdir(parents=True)
    (tmp_path / "model" / "vae" / "config.json").write_text('{"b": 2}', encoding="utf-8-sig")
    assert read_config("model", "", tmp_path, "vae").values == {"b": 2}
