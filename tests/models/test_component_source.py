"""Where a component's files are: in a folder, and in a commit of the hub."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from stages.errors import CheckpointError
from stages.keys import digest_bytes
from stages.models.component_source import FolderSource, HubSource, find_in_hub, has_variant, needs_listing
from stages.models.hub_cache import keep_listing
from stages.models.hub_listing import HubFile
from stages.models.weight_names import index_names, single_name
from stages.pipeline.component import Component
from stages.pipeline.decode import VAE
from stages.pipeline.encode import TOKENIZER
from stages.store.stat_cache import StatCache
from tests.checkpoints import lay_into_hub_cache
from tests.models.builders import COMMIT

BLOB = "9e26dfeeb6e641a33dae4961196235bdb965b21b"  # git's id of "{}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A component; the hub's cache has it in `org/model`."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "model/vae/deep").mkdir(parents=True)
    (tmp_path / "model/vae/config.json").write_text("{}")
    (tmp_path / "model/vae/deep/config.json").write_text("{}")
    (tmp_path / "model/vae/diffusion_pytorch_model.safetensors").write_bytes(b"weights")
    lay_into_hub_cache(tmp_path / "model", tmp_path / "hub", "org/model", COMMIT)
    return tmp_path / "model/vae"


def find() -> HubSource:
    return find_in_hub("org/model", COMMIT, VAE, variant="", may_be_root=False, cache=None)[0]


def test_names_are_those_of_files_in_the_folder_itself(folder: Path):
    (folder / "broken").symlink_to("nowhere")
    expected = {"config.json", "diffusion_pytorch_model.safetensors"}
    assert set(FolderSource(folder).names()) == set(find().names()) == expected


def test_a_folder_that_is_not_there_has_no_names(folder: Path):
    assert set(FolderSource(folder / "nowhere").names()) == set()
    assert set(FolderSource(folder / "config.json").names()) == set()


def test_content_is_identified_by_its_digest_in_a_folder_and_by_its_blob_in_the_hub(folder: Path, tmp_path: Path):
    cache = StatCache(tmp_path / "cache")
    assert FolderSource(folder).digests(["config.json"], cache) == {"config.json": digest_bytes(b"{}")}
    assert find().digests(["config.json"], cache) == {"config.json": BLOB}


def test_a_source_says_where_it_is(folder: Path, tmp_path: Path):
    assert FolderSource(folder).where == str(folder)
    assert find().where == f"org/model@{COMMIT}/vae"
    assert find().folder == tmp_path / "hub/models--org--model/snapshots" / COMMIT / "vae"


@pytest.mark.usefixtures("folder")
def test_what_a_listing_lacks_is_no_fault_of_the_download():
    keep_listing("org/model", COMMIT, {"vae/config.json": HubFile(BLOB, 2)})
    with pytest.raises(CheckpointError) as error:
        find()
    assert str(error.value) == (
        f"org/model@{COMMIT}/vae: would read diffusion_pytorch_model.safetensors, or an index of shards, and holds "
        "neither. There is config.json. The repository is incomplete: use another one, or another revision."
    )


def test_a_file_that_cannot_be_read_is_reported(folder: Path, tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        FolderSource(folder).digests(["nowhere"], StatCache(tmp_path / "cache"))
    assert str(error.value) == (
        f"{folder}/nowhere: cannot be read (No such file or directory). Check its permissions and its disk."
    )


@pytest.mark.parametrize("name", [single_name("m", "fp16"), *index_names("m", "fp16")])
def test_a_variant_is_known_by_the_names_under_which_it_would_be_read(tmp_path: Path, name: str):
    (tmp_path / "vae").mkdir()
    assert not has_variant(tmp_path, "", "", "fp16")
    (tmp_path / "vae" / name).touch()
    assert has_variant(tmp_path, "", "", "fp16")
    assert not has_variant(tmp_path, "", "", "fp1")


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("pytorch_model.bin.index.json", "bin"),
        ("diffusion_pytorch_model.safetensors.index.json", "safetensors"),
        ("diffusion_pytorch_model.safetensors.index.json", "index"),
        ("m.fp16.bin", "fp16"),
        ("m.fp16-00001-of-00002.safetensors", "fp16"),
        ("config.fp16.json", "fp16"),
    ],
)
def test_a_part_of_another_name_is_no_variant(tmp_path: Path, name: str, variant: str):
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / name).touch()
    assert not has_variant(tmp_path, "", "", variant)


@pytest.mark.usefixtures("folder")
def test_a_variant_in_the_hub_is_known_by_its_listing():
    keep_listing("org/model", COMMIT, {"vae/m.fp16.safetensors": HubFile(BLOB, 2)})
    assert has_variant(Path(), "org/model", COMMIT, "fp16")
    assert not has_variant(Path(), "org/model", COMMIT, "bf16")


OPTIONAL = ("added_tokens.json", "chat_template.jinja", "special_tokens_map.json")


def lay_tokenizer(root: Path, *names: str) -> None:
    for name in ("tokenizer_config.json", *names):
        path = root / "tokens" / "tokenizer" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    lay_into_hub_cache(root / "tokens", root / "hub", "org/tokens", COMMIT)


def is_asked(component: Component = TOKENIZER, variant: str = "") -> bool:
    return needs_listing("org/tokens", COMMIT, component, variant=variant, may_be_root=False, cache=None)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["tokenizer.json", *OPTIONAL], False),
        (["vocab.json", "tokenizer.json", *OPTIONAL], False),
        (["tokenizer.json", *OPTIONAL[1:]], True),
        (["tokenizer.json"], True),
        (["vocab.json", "merges.txt", *OPTIONAL], True),  # the hub may have tokenizer.json, which goes before
        (["vocab.json", *OPTIONAL], True),
    ],
)
def test_without_a_list_the_hub_is_asked_where_it_may_have_what_would_be_read(
    tmp_path: Path, names: list[str], *, expected: bool
):
    lay_tokenizer(tmp_path, *names)
    assert is_asked() is expected


@pytest.mark.usefixtures("folder")
def test_what_the_hub_is_known_to_lack_is_not_asked_for(tmp_path: Path):
    lay_tokenizer(tmp_path, "tokenizer.json")
    assert is_asked()
    for name in OPTIONAL:
        absent = tmp_path / "hub/models--org--tokens/.no_exist" / COMMIT / "tokenizer" / name
        absent.parent.mkdir(parents=True, exist_ok=True)
        absent.touch()
    assert not is_asked()


@pytest.mark.usefixtures("folder")
def test_with_a_list_nothing_is_asked_even_if_files_are_missing(tmp_path: Path):
    lay_tokenizer(tmp_path)
    keep_listing("org/tokens", COMMIT, {"tokenizer/tokenizer.json": HubFile(BLOB, 2)})
    assert not is_asked()


@pytest.mark.usefixtures("folder")
def test_without_a_list_the_hub_is_asked_for_weights_of_a_variant_that_the_cache_lacks(tmp_path: Path):
    def is_asked_of_vae(variant: str) -> bool:
        return needs_listing("org/model", COMMIT, VAE, variant=variant, may_be_root=False, cache=None)

    assert not is_asked_of_vae("")
    assert is_asked_of_vae("fp16")
    (tmp_path / "model/vae/diffusion_pytorch_model.fp16.safetensors").write_bytes(b"weights of fp16")
    lay_into_hub_cache(tmp_path / "model/vae", tmp_path / "hub", "org/other", COMMIT)
    assert not needs_listing("org/other", COMMIT, VAE, variant="fp16", may_be_root=True, cache=None)


@pytest.mark.usefixtures("folder")
def test_a_component_without_weights_has_no_variant_to_ask_the_hub_for():
    source, _ = find_in_hub("org/model", COMMIT, Component("vae"), variant="fp16", may_be_root=False, cache=None)
    assert not source.is_listed
