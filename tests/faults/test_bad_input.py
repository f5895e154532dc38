"""Bad input to the end: one message of each kind of file that is read, and nothing that waits or fills the memory.

What each reader says of its own faults is tested beside it; here is what all of them have in common.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from stages.errors import CheckpointError, ContractError, ParamsError, StagesError, StoreError
from stages.machine.printable import escaped
from stages.machine.private_folder import open_private
from stages.models import hub, hub_cache
from stages.models.checkpoint import Checkpoint, component_identity
from stages.models.reference import Reference
from stages.models.settings import read_settings
from stages.pipeline.decode import VAE
from stages.pipeline.stages import read_pipeline
from stages.preflight.answers import _read_json
from stages.run.build import Build
from stages.run.loading import load_build
from stages.store.artifacts import Store
from stages.store.drafts import Drafts
from stages.store.inputs import check_inputs
from stages.store.manifest import MANIFEST
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.tensors.files import TensorReader, read_tensors
from stages.tensors.weight_files import WeightFiles
from tests.builders import CODE, build_chain, publish
from tests.models.builders import COMMIT
from tests.project import copy_checkpoint, copy_project

_HANG_S = 20
_HUGE_BYTES = 2**43  # without a block on disk


@pytest.fixture(autouse=True)
def no_test_hangs() -> Iterator[None]:
    """A reader that waits is interrupted, and the test fails."""

    def fail(_number: int, _frame: object) -> None:
        raise TimeoutError(f"it waits for more than {_HANG_S} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(_HANG_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def put_fifo(path: Path) -> str:
    os.mkfifo(path)
    return "is a FIFO, not a file"


def put_device(path: Path) -> str:
    path.symlink_to("/dev/zero")
    return "is a device, not a file"


def put_folder(path: Path) -> str:
    path.mkdir()
    return "Is a directory"


def put_loop(path: Path) -> str:
    path.symlink_to(path.name)
    return "Too many levels of symbolic links"


def put_huge(path: Path) -> str:
    with path.open("wb") as file:
        file.truncate(_HUGE_BYTES)
    return "MiB, which no such file has"


Put = Callable[[Path], str]
IRREGULAR: list[Put] = [put_fifo, put_device, put_folder, put_loop]
ALL: list[Put] = [*IRREGULAR, put_huge]


def replace(path: Path, put: Put) -> str:
    """Put something else in a file's place; what is said of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return put(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_project(tmp_path)


@pytest.mark.parametrize("put", ALL)
@pytest.mark.parametrize("table", ["model", "encode", "denoise", "decode", "export", "machine"])
def test_defaults_that_are_no_file_are_one_message(root: Path, table: str, put: Put):
    reason = replace(root / f"params/{table}.toml", put)
    with pytest.raises(ParamsError) as error:
        load_build(root, {}, is_read_only=True)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"params/{table}.toml: cannot be read: ")
    assert line.endswith(f"{reason}.")


@pytest.mark.parametrize("put", ALL)
def test_a_video_that_is_no_file_is_one_message_and_stops_no_other(root: Path, put: Put):
    shutil.copy(root / "params/videos/demo.toml", root / "params/videos/other.toml")
    reason = replace(root / "params/videos/demo.toml", put)
    build = load_build(root, {}, is_read_only=True)
    assert [*build.graph.videos] == ["other"]
    assert str(build.graph.faults["demo"]).startswith("params/videos/demo.toml: cannot be read: ")
    assert str(build.graph.faults["demo"]).endswith(f"{reason}.")


@pytest.mark.parametrize("put", ALL)
def test_a_list_of_stages_that_is_no_file_is_one_message(root: Path, put: Put):
    reason = replace(root / "pyproject.toml", put)
    with pytest.raises(ParamsError) as error:
        read_pipeline(root)
    assert str(error.value).startswith("pyproject.toml: cannot be read: ")
    assert str(error.value).endswith(f"{reason}.")


@pytest.mark.parametrize("put", ALL)
def test_a_cache_of_stamps_that_is_no_file_counts_as_empty(root: Path, put: Put):
    replace(root / "artifacts" / STAT_CACHE, put)
    assert [*load_build(root, {}).graph.videos] == ["demo"]


@pytest.mark.parametrize("put", ALL)
def test_a_file_from_elsewhere_that_is_none_is_one_message(root: Path, put: Put):
    replace(root / "mine.safetensors", put)
    with pytest.raises(ParamsError) as error:
        load_build(root, {"denoise.from_file": "mine.safetensors"}, is_read_only=True)
    (line,) = str(error.value).splitlines()
    assert line.startswith('command line, denoise.from_file = "mine.safetensors": ')
    assert line.endswith("Correct it; a relative path starts at the project's folder.")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("~nosuchuser/store", "Could not determine home directory."),
        ("a\0b", "it has a NUL character"),
        ("~\0", "it has a NUL character"),
    ],
)
def test_a_store_whose_path_cannot_be_is_one_message(root: Path, place: str, reason: str):
    with pytest.raises(ParamsError) as error:
        load_build(root, {"machine.artifacts": place})
    assert str(error.value) == (
        f'command line, machine.artifacts = "{escaped(place)}": is not a usable path ({reason}). Correct it; a '
        "relative path starts at the project's folder."
    )


@pytest.mark.parametrize("name", ["model.checkpoint", "model.components.vae", "denoise.from_file", "machine.artifacts"])
@pytest.mark.parametrize("place", ["~nosuchuser/x", "a\0b", "~\0", "\udcff", "x" * 5000, "loop", "loop/x"])
def test_a_path_that_leads_nowhere_is_an_error_of_this_project(root: Path, name: str, place: str):
    (root / "loop").symlink_to("loop")
    with pytest.raises(StagesError):
        load_build(root, {name: place})


@pytest.mark.parametrize("name", ["\udcff", "a\nb", "a b", "x" * 200])
def test_a_video_with_any_name_is_one_message(root: Path, name: str):
    shutil.copy(root / "params/videos/demo.toml", root / "params/videos" / f"{name}.toml")
    build: Build = load_build(root, {}, is_read_only=True)
    if name == "x" * 200:
        assert not build.graph.faults
        return
    (fault,) = build.graph.faults.values()
    assert str(fault).endswith("a video's name is made of a-z, 0-9, _ and -, the first a letter or digit. Rename it.")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(copy_checkpoint(tmp_path / "model", "vae"))


@pytest.mark.parametrize("put", IRREGULAR)
@pytest.mark.parametrize("name", ["config.json", "diffusion_pytorch_model.safetensors"])
def test_a_file_of_a_checkpoint_that_is_none_is_one_message(
    checkpoint: Checkpoint, tmp_path: Path, name: str, put: Put
):
    replace(checkpoint.folder / "vae" / name, put)
    with pytest.raises(CheckpointError):
        component_identity(checkpoint, VAE, StatCache(tmp_path / "cache"))


@pytest.mark.parametrize("put", ALL)
@pytest.mark.parametrize("read", [read_settings, lambda path: WeightFiles(path.parent, {path.name: None})])
def test_a_file_of_a_checkpoint_that_was_replaced_after_it_was_found_is_one_message(
    tmp_path: Path, read: Callable[[Path], object], put: Put
):
    replace(tmp_path / "file", put)
    with pytest.raises(CheckpointError) as error:
        read(tmp_path / "file")
    assert str(error.value).startswith(f"{tmp_path}/file: ")
    assert str(error.value).endswith("again.")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `org/model` in an empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path / "models--org--model"


@pytest.mark.parametrize("put", ALL)
def test_a_branch_in_the_hubs_cache_that_is_no_file_is_one_message(repo: Path, put: Put):
    reason = replace(repo / "refs/main", put)
    with pytest.raises(CheckpointError) as error:
        hub.find_commit(Reference("org/model", "main"))
    assert str(error.value).startswith(f"{repo}/refs/main: cannot be read (")
    assert str(error.value).endswith(f"{reason}). Delete it; the hub is asked again.")


@pytest.mark.parametrize("put", ALL)
def test_a_list_of_files_in_the_hubs_cache_that_is_no_file_counts_as_not_kept(repo: Path, put: Put):
    replace(repo / f".hunyuan-stages/files-{COMMIT}.json", put)
    assert hub_cache.read_listing("org/model", COMMIT) is None


@pytest.mark.parametrize("put", IRREGULAR)
def test_a_file_in_the_hubs_cache_that_is_none_counts_as_absent(repo: Path, put: Put):
    replace(repo / f"snapshots/{COMMIT}/vae/config.json", put)
    assert hub.cached_files("org/model", COMMIT) == {}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two artifacts, one made from the other."""
    store = Store(tmp_path / "artifacts")
    for node in build_chain():
        publish(store, node)
    return Store(store.root)  # which has read nothing yet


ENCODE, DENOISE = build_chain()


@pytest.mark.parametrize("put", ALL)
def test_a_manifest_that_is_no_file_makes_its_artifact_due(store: Store, put: Put):
    path = store.folder(DENOISE.artifact) / MANIFEST
    reason = replace(path, put)
    verdict = store.verdict(DENOISE, CODE)
    assert verdict.state == "corrupt"
    assert reason in str(verdict.reasons[0].now)


@pytest.mark.parametrize("put", IRREGULAR)
def test_a_payload_that_is_no_file_is_one_message_and_its_artifact_is_forgotten(store: Store, put: Put):
    path = store.payload(ENCODE.artifact)
    replace(path, put)
    with pytest.raises((StoreError, OSError)) as error:
        check_inputs(store, DENOISE)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("put", IRREGULAR)
def test_a_lock_that_is_no_file_keeps_nobody_waiting(store: Store, put: Put):
    replace(store.root / ".lock", put)
    store.sweep_drafts()
    assert store.verdict(DENOISE, CODE).is_fresh
    assert not store.verdict(DENOISE, "0" * 32).is_fresh
    with pytest.raises(StoreError, match="cannot be locked"), Drafts(store.root).new():
        pass


def test_an_artifact_that_is_a_link_out_of_the_store_is_used_and_never_deleted_with_its_target(
    store: Store, tmp_path: Path
):
    folder, outside = store.folder(DENOISE.artifact), tmp_path / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    assert store.verdict(DENOISE, CODE).is_fresh
    assert store.remove(DENOISE.artifact)
    assert not os.path.lexists(folder)
    assert (outside / MANIFEST).is_file()


def test_a_payload_that_is_a_link_out_of_the_store_is_never_written_to(store: Store, tmp_path: Path):
    path, outside = store.payload(DENOISE.artifact), tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    store.forget(DENOISE.artifact)
    publish(store, DENOISE, b"another")
    assert outside.read_bytes() == b"payload"
    assert store.payload(DENOISE.artifact).read_bytes() == b"another"


def test_a_manifest_that_names_a_payload_outside_is_none(store: Store):
    path = store.folder(DENOISE.artifact) / MANIFEST
    fields = json.loads(path.read_text())
    del fields["checksum"]  # as manifests were before, so that it is the name that is refused
    path.unlink()
    path.write_text(json.dumps(fields | {"payload": "../../secret"}))
    with pytest.raises(StoreError, match="wrong, missing or unknown: payload"):
        store.payload(DENOISE.artifact)


@pytest.mark.parametrize("put", ALL)
@pytest.mark.parametrize("read", [read_tensors, lambda path: TensorReader(path, "latents")])
def test_tensors_that_are_no_file_are_one_message(tmp_path: Path, put: Put, read: Callable[[Path], object]):
    replace(tmp_path / "file", put)
    with pytest.raises(ContractError) as error:
        read(tmp_path / "file")
    assert str(error.value).startswith(f"{tmp_path}/file: ")
    assert str(error.value).endswith("`doit forget` its stage, then `doit`, makes it again.")


@pytest.mark.parametrize("put", IRREGULAR)
def test_a_compiled_program_that_is_no_file_is_refused(tmp_path: Path, put: Put):
    with open_private(tmp_path / "folder") as folder:
        replace(tmp_path / "folder" / "name", put)
        with pytest.raises(OSError, match=r"FIFO|symbolic links|directory"):
            folder.read("name")


@pytest.mark.parametrize("put", ALL)
def test_an_answer_of_preflight_that_is_no_file_is_one_message(tmp_path: Path, put: Put):
    reason = replace(tmp_path / "file", put)
    with pytest.raises(StoreError) as error:
        _read_json(tmp_path / "file")
    assert str(error.value).startswith(f"{tmp_path}/file: cannot be read (")
    assert str(error.value).endswith(f"{reason}). Delete {tmp_path}; it is made again.")
