"""Where a checkpoint is and what identifies it."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

from stages.errors import CheckpointError
from stages.models import component_source
from stages.models.checkpoint import (
    Checkpoint,
    component_folder,
    component_identity,
    describe_place,
    fetch_components,
    list_components,
    open_component,
    read_component_settings,
    require_components,
)
from stages.models.hub import cached_files
from stages.models.hub_cache import keep_listing, snapshot_folder
from stages.models.hub_listing import HubFile
from stages.models.places import resolve
from stages.pipeline.component import Component
from stages.pipeline.decode import VAE
from stages.pipeline.denoise import TRANSFORMER
from stages.pipeline.encode import TOKENIZER
from stages.pipeline.stages import STAGES
from stages.store.stat_cache import StatCache
from tests.checkpoints import lay_into_hub_cache, split
from tests.hub_server import HubServer
from tests.models.builders import COMMIT, FILES, NEWER, WEIGHTS

NEWEST = "b" * 40
# Of the files in `folder` below; a change here makes what users have stored unfindable.
PINNED = "53c943b142c7db63f81b324a345d144c"
PINNED_IN_HUB = "def06233e8ff588b5c9ff9548c0dd604"
STRAYS = (
    ".DS_Store", "README.md", "config.json~", ".config.json.swp", "pytorch_model.bin", "model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors", ".cache/huggingface/download/config.json.metadata", "vae/config.json",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vae = tmp_path / "model" / "vae"
    vae.mkdir(parents=True)
    (vae / "config.json").write_text("{}")
    (vae / "diffusion_pytorch_model.safetensors").write_bytes(b"weights")
    return tmp_path / "model"


@pytest.fixture
def cached(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a hub that does not answer; it holds `folder` as `org/model` at COMMIT."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return lay_into_hub_cache(folder, tmp_path / "hub", "org/model", COMMIT)


@pytest.fixture
def cache(tmp_path: Path) -> StatCache:
    return StatCache(tmp_path / "cache.json")


def add(folder: Path, name: str, content: bytes = b"anything") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def identity(folder: Path, tmp_path: Path) -> str:
    return component_identity(Checkpoint(folder), VAE, StatCache(tmp_path / "cache.json"))


def fault(call: Callable[[], object]) -> str:
    with pytest.raises(CheckpointError) as error:
        call()
    return str(error.value)


def test_the_built_in_checkpoint_has_every_component(tmp_path: Path):
    checkpoint = resolve("builtin:shapes", "", tmp_path)
    for stage in STAGES:
        for component in stage.components:
            assert open_component(checkpoint, component).settings.is_file()


def test_identity_is_of_the_content_wherever_it_lies(folder: Path, tmp_path: Path):
    before = identity(folder, tmp_path)
    shutil.copytree(folder, tmp_path / "copy")
    assert identity(tmp_path / "copy", tmp_path) == before
    os.utime(folder / "vae" / "config.json")
    assert identity(folder, tmp_path) == before


def test_the_identity_of_a_folder_is_pinned(folder: Path, tmp_path: Path):
    assert identity(folder, tmp_path) == PINNED


@pytest.mark.parametrize("name", ["config.json", "diffusion_pytorch_model.safetensors"])
def test_identity_differs_on_any_file_that_is_read(folder: Path, tmp_path: Path, name: str):
    (folder / "vae" / name).write_bytes(b"changed")
    assert identity(folder, tmp_path) != PINNED


@pytest.mark.parametrize("name", STRAYS)
def test_a_file_that_is_not_read_changes_nothing(folder: Path, tmp_path: Path, name: str):
    add(folder / "vae", name)
    assert identity(folder, tmp_path) == PINNED


def test_an_index_counts_with_its_shards_and_not_the_single_file_beside_them(folder: Path, tmp_path: Path):
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    save_file({"a": np.ones(2), "b": np.ones(3), "c": np.ones(1)}, weights)
    alone = identity(folder, tmp_path)
    first, *_ = split(weights)
    with_shards = identity(folder, tmp_path)
    weights.write_bytes(b"stale")
    assert with_shards == identity(folder, tmp_path) != alone
    first.write_bytes(b"changed")
    assert identity(folder, tmp_path) != with_shards


def test_an_index_is_parsed_once(folder: Path, cache: StatCache, monkeypatch: pytest.MonkeyPatch):
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    save_file({"a": np.ones(2)}, weights)
    split(weights, 1)
    for path in (folder / "vae").iterdir():
        os.utime(path, ns=(0, 0))
    old = StatCache(Path(os.devnull), clock=lambda: 10**18 * 4)
    before = component_identity(Checkpoint(folder), VAE, old)
    monkeypatch.setattr(component_source, "parse_index", lambda *_: pytest.fail("parsed again"))
    assert component_identity(Checkpoint(folder), VAE, old) == before
    with pytest.raises(pytest.fail.Exception):
        component_identity(Checkpoint(folder), VAE, cache)


@pytest.mark.usefixtures("cached")
def test_a_component_of_the_hub_is_identified_by_its_blobs_offline(tmp_path: Path, cache: StatCache):
    checkpoint = resolve("org/model", "", tmp_path)
    assert component_identity(checkpoint, VAE, cache) == PINNED_IN_HUB


@pytest.mark.parametrize(
    ("change", "is_same"),
    [("README.md", True), ("transformer/config.json", True), ("vae/notes.txt", True), ("vae/config.json", False)],
)
@pytest.mark.usefixtures("cached")
def test_a_commit_counts_by_what_is_read_of_it(
    folder: Path, tmp_path: Path, cache: StatCache, change: str, is_same: bool
):
    before = component_identity(resolve("org/model", COMMIT, tmp_path), VAE, cache)
    add(folder, change, b"changed upstream")
    lay_into_hub_cache(folder, tmp_path / "hub", "org/model", NEWEST)
    assert (component_identity(resolve("org/model", NEWEST, tmp_path), VAE, cache) == before) is is_same


def test_the_same_blobs_in_another_repository_are_the_same_component(
    cached: Path, folder: Path, tmp_path: Path, cache: StatCache
):
    lay_into_hub_cache(folder, cached.parent, "other/fork", NEWEST)
    both = [component_identity(resolve(repo, "", tmp_path), VAE, cache) for repo in ("org/model", "other/fork")]
    assert both[0] == both[1]


@pytest.mark.usefixtures("cached")
def test_a_cached_component_is_opened_offline(tmp_path: Path):
    files = open_component(resolve("org/model", "", tmp_path), VAE)
    assert files.settings.read_text() == "{}"
    assert files.picked.names == ("config.json", "diffusion_pytorch_model.safetensors")


def test_only_what_is_read_is_downloaded_and_the_hub_is_asked_once(tmp_path: Path, server: HubServer, cache: StatCache):
    checkpoint = resolve("org/model", NEWER, tmp_path)
    before = component_identity(checkpoint, VAE, cache)
    require_components(checkpoint, [VAE])
    fetch_components(checkpoint, [VAE], lambda _done, _total: None)
    assert server.sent_bytes.keys() == {"vae/config.json", WEIGHTS}
    num_asked = len(server.asked)
    assert open_component(checkpoint, VAE).settings.read_bytes() == FILES["vae/config.json"]
    assert component_identity(checkpoint, VAE, cache) == before
    assert len(server.asked) == num_asked


def test_settings_are_downloaded_without_the_weights(tmp_path: Path, server: HubServer):
    settings = read_component_settings(resolve("org/model", NEWER, tmp_path), VAE)
    assert settings.values == {"scaling_factor": 1.0}
    assert server.sent_bytes.keys() == {"vae/config.json"}


@pytest.mark.usefixtures("cached")
def test_what_the_cache_lacks_is_asked_for_and_not_taken_without(tmp_path: Path, cache: StatCache):
    text = fault(lambda: component_identity(resolve("org/model", "", tmp_path), TRANSFORMER, cache))
    assert text.startswith(f"org/model@{COMMIT}: ")
    text = fault(lambda: component_identity(resolve("org/model", "", tmp_path, variant="fp16"), VAE, cache))
    assert text.startswith(f"org/model@{COMMIT}: ")  # the hub may have the variant


def test_a_listing_that_is_kept_goes_before_what_the_cache_holds(cached: Path, tmp_path: Path, cache: StatCache):
    """Here, of a tokenizer without its chat template, beside files that a download of everything brings."""
    tokens = add(tmp_path / "tokens/tokenizer", "tokenizer_config.json").parent
    add(tokens, "tokenizer.json")
    add(tokens.parent, "README.md")
    lay_into_hub_cache(tokens.parent, cached.parent, "org/tokens", COMMIT)
    checkpoint = resolve("org/tokens", COMMIT, tmp_path)
    cut = component_identity(checkpoint, TOKENIZER, cache)
    names = [*cached_files("org/tokens", COMMIT), "tokenizer/chat_template.jinja"]
    keep_listing("org/tokens", COMMIT, {name: HubFile("c" * 40, len(b"anything")) for name in names})
    assert component_identity(checkpoint, TOKENIZER, cache) != cut


def test_a_folder_without_a_component_is_reported(folder: Path, cache: StatCache):
    assert fault(lambda: component_identity(Checkpoint(folder), TRANSFORMER, cache)) == (
        f"{folder}: has no component `transformer`. A HunyuanVideo-1.5 checkpoint has one folder per component, "
        "as diffusers' save_pretrained writes them."
    )


def test_a_variant_that_only_some_components_have_is_read_where_it_is(folder: Path):
    add(folder / "transformer", "config.json")
    add(folder / "transformer", "diffusion_pytorch_model.fp16.safetensors")
    checkpoint = Checkpoint(folder, variant="fp16")
    picked = [open_component(checkpoint, component).picked for component in (VAE, TRANSFORMER)]
    assert [each.weights for each in picked] == [
        ("diffusion_pytorch_model.safetensors",), ("diffusion_pytorch_model.fp16.safetensors",),
    ]  # fmt: skip


@pytest.mark.parametrize("variant", ["fp17", "bin", "safetensors", "index"])
def test_a_variant_that_no_component_has_is_reported(folder: Path, variant: str):
    for name in ("diffusion_pytorch_model.bin.index.json", "diffusion_pytorch_model.bin"):
        add(folder / "vae", name)
    assert fault(lambda: open_component(Checkpoint(folder, variant=variant), VAE)) == (
        f'model.variant = "{variant}": no component of {folder} has weights of it. Correct it, or set variant = "".'
    )


@pytest.mark.parametrize("place", ["other", "other/vae", "{root}/other/vae"])
def test_a_component_is_taken_from_a_checkpoint_or_its_own_folder(folder: Path, tmp_path: Path, place: str):
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other/vae/config.json").write_text('{"other": 1}')
    add(folder, "model_index.json")
    checkpoint = resolve("model", "", tmp_path, components={"vae": place.format(root=tmp_path)})
    assert open_component(checkpoint, VAE).settings == tmp_path / "other/vae/config.json"
    assert component_folder(checkpoint, "vae") == tmp_path / "other/vae"
    assert component_folder(checkpoint, "transformer") == folder / "transformer"


def test_a_component_from_elsewhere_is_the_same_wherever_it_lies(folder: Path, tmp_path: Path, cache: StatCache):
    shutil.copytree(folder / "vae", tmp_path / "alone")
    checkpoint = resolve("builtin:shapes", "", tmp_path, components={"vae": "alone"})
    assert component_identity(checkpoint, VAE, cache) == PINNED


@pytest.mark.parametrize("place", ["org/model", f"org/model@{COMMIT}", "org/model@main"])
@pytest.mark.usefixtures("cached")
def test_a_component_is_taken_from_the_hub_at_a_revision(tmp_path: Path, cache: StatCache, place: str):
    checkpoint = resolve("builtin:shapes", "", tmp_path, components={"vae": place})
    assert component_identity(checkpoint, VAE, cache) == PINNED_IN_HUB
    assert open_component(checkpoint, VAE).settings.read_text() == "{}"


def test_a_repository_can_be_nothing_but_the_component(cached: Path, folder: Path, tmp_path: Path, cache: StatCache):
    lay_into_hub_cache(folder / "vae", cached.parent, "org/vae", NEWEST)
    checkpoint = resolve("builtin:shapes", "", tmp_path, components={"vae": "org/vae"})
    assert component_identity(checkpoint, VAE, cache) == PINNED_IN_HUB
    assert open_component(checkpoint, VAE).folder == cached.parent / "models--org--vae" / "snapshots" / NEWEST
    whole = resolve("org/vae", "", tmp_path)  # as a checkpoint, it has no folder of that name
    assert fault(lambda: component_identity(whole, VAE, cache)).startswith(f"org/vae@{NEWEST}: ")


def test_a_place_without_the_component_is_reported(folder: Path, tmp_path: Path):
    checkpoint = resolve("builtin:shapes", "", tmp_path, components={"transformer": str(folder)})
    assert fault(lambda: open_component(checkpoint, TRANSFORMER)) == (
        f"model.components.transformer: {folder} has neither a folder `transformer` nor config.json. Name a checkpoint "
        "that has this component, or the folder of the component itself."
    )


def test_a_checkpoint_is_read_back_equal_from_json(tmp_path: Path):
    elsewhere = {"vae": Checkpoint(tmp_path / "vae"), "transformer": Checkpoint(tmp_path, "org/model", COMMIT)}
    checkpoint = Checkpoint(tmp_path, variant="fp16", elsewhere=elsewhere)
    assert Checkpoint.from_fields(json.loads(json.dumps(asdict(checkpoint), default=str))) == checkpoint


def test_places_are_told_to_people(tmp_path: Path):
    elsewhere = {"vae": Checkpoint(tmp_path / "x", "org/model", COMMIT)}
    checkpoint = Checkpoint(tmp_path, elsewhere=elsewhere)
    assert describe_place(checkpoint, "vae") == f"org/model@{COMMIT}"
    assert describe_place(checkpoint, "transformer") == str(tmp_path / "transformer")


def test_equal_checkpoints_have_equal_hashes(tmp_path: Path):
    one, other = (Checkpoint(tmp_path, elsewhere={"vae": Checkpoint(tmp_path / "vae")}) for _ in range(2))
    assert {one: 1}[other] == 1


def test_settings_are_read_with_a_byte_order_mark(folder: Path):
    (folder / "vae/config.json").write_bytes(b"\xef\xbb\xbf" + b'{"a": 1}')
    assert read_component_settings(Checkpoint(folder), VAE).values == {"a": 1}


def test_the_layout_of_the_original_repository_is_recognised(tmp_path: Path):
    for name in ("480p_t2v", "720p_i2v_distilled"):
        add(tmp_path, f"transformer/{name}/config.json")
    with pytest.raises(CheckpointError) as error:
        read_component_settings(Checkpoint(tmp_path), VAE)
    assert str(error.value).startswith(f"{tmp_path}: has a transformer for each of 480p_t2v, 720p_i2v_distilled: ")


@pytest.mark.parametrize("component", ["", "vae"])
def test_the_model_index_comes_with_the_knowledge_that_files_can_be_had(
    tmp_path: Path, server: HubServer, component: str
):
    server.repos["org/model"].files = {**FILES, "model_index.json": b"{}"}
    elsewhere = {component: f"org/model@{NEWER}"} if component else {}
    place = "builtin:shapes" if component else "org/model"
    require_components(resolve(place, "", tmp_path, components=elsewhere), [VAE])
    assert (snapshot_folder("org/model", NEWER) / "model_index.json").read_bytes() == b"{}"


def test_offline_all_components_that_lack_files_are_named(tmp_path: Path, cached: Path, cache: StatCache):
    others = [Component(name, settings="config.json") for name in ("transformer", "scheduler")]
    with pytest.raises(CheckpointError) as error:
        list_components(resolve("org/model", COMMIT, tmp_path), [VAE, *others], cache)
    assert str(error.value).startswith(
        f"org/model@{COMMIT}: not in the hub's cache, or not known to be whole there ({cached}):\n  scheduler/*\n"
        "  transformer/*\n  They cannot be"
    )


@pytest.mark.usefixtures("cached")
def test_offline_components_that_are_whole_are_not_asked_for(tmp_path: Path, cache: StatCache):
    list_components(resolve("org/model", COMMIT, tmp_path), [VAE], cache)
