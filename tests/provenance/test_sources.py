"""From what a person names to what is known of it; files of any content and any name."""

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from stages.errors import StoreError
from stages.provenance.project import Project, open_project
from stages.provenance.record import Record
from stages.provenance.sources import find_record
from stages.store.artifacts import Store
from stages.tensors.files import write_tensors
from tests.builders import publish
from tests.provenance.videos import (
    build_empty_project,
    build_project,
    code_of,
    line_of,
    load,
    nodes_of,
    publish_all,
    write_mp4,
)
from tests.request.sweeps import write_sweep

ALL = ["encode", "denoise", "decode", "export"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project; nothing in it is changed by a test."""
    return build_project(tmp_path_factory.mktemp("made") / "project")


@pytest.fixture(scope="module")
def video(made: Path) -> Path:
    """Its video, outside of any store."""
    return write_mp4(made.parent / "video.mp4", line_of(made))


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """Another project, which has nothing."""
    return open_project(build_empty_project(tmp_path / "empty"), {})


def stages_of(record: Record) -> list[str]:
    return [each.stage for each in record.made]


def refusal(name: Path | str, project: Project) -> str:
    with pytest.raises(StoreError) as caught:
        find_record(str(name), project)
    return str(caught.value)


@pytest.mark.parametrize("name", ["night.mp4", "clip", "photo.jpg", "data.safetensors", "Ünï codé (1).MP4"])
def test_a_video_is_known_by_its_content_whatever_it_is_called(tmp_path: Path, video: Path, empty: Project, name: str):
    file = shutil.copy(video, tmp_path / name)
    record = find_record(str(file), empty)
    assert (record.what, record.origin, stages_of(record)) == ("a video", "its own metadata", ALL)
    assert record.prompt == "A red circle moves to the right."
    assert all(each.code is not None and each.run is None for each in record.made)


def test_a_link_leads_to_its_file(tmp_path: Path, video: Path, empty: Project):
    (tmp_path / "link").symlink_to(video)
    assert stages_of(find_record(str(tmp_path / "link"), empty)) == ALL


def test_metadata_that_was_edited_is_doubtful(tmp_path: Path, made: Path, empty: Project):
    line = line_of(made).replace('"seed":42', '"seed":43')
    record = find_record(str(write_mp4(tmp_path / "video.mp4", line)), empty)
    assert record.notes == [
        "the key of denoise does not follow from what is said of it: the metadata was edited, or is of a project with "
        "other stages"
    ]


def test_the_store_that_has_the_same_bytes_says_how_they_were_made(tmp_path: Path):
    root = build_project(tmp_path / "project")
    nodes = publish_all(root)
    file = write_mp4(tmp_path / "video.mp4", line_of(root))
    store = Store(root / "artifacts")
    store.forget(nodes["export"].artifact)
    publish(store, nodes["export"], file.read_bytes(), code_of(load(root), nodes["export"]))
    (store.folder(nodes["decode"].artifact) / "run.json").write_text('{"host": "vm"}')
    record = find_record(str(file), open_project(root, {}))
    decode = record.of_stage("decode")
    assert decode is not None
    assert (record.origin, decode.run) == ("its own metadata", {"host": "vm"})


def test_a_store_with_the_same_keys_and_other_bytes_says_nothing(tmp_path: Path):
    root = build_project(tmp_path / "project")
    publish_all(root)
    record = find_record(str(write_mp4(tmp_path / "video.mp4", line_of(root))), open_project(root, {}))
    assert {each.run is None for each in record.made} == {True}


def publish_latents(root: Path) -> Path:
    """The file of the latents in the store of a project."""
    nodes, store = nodes_of(root), Store(root / "artifacts")
    publish(store, nodes["encode"])
    write_tensors(root / "made", {"latents": np.zeros((1, 32, 3, 6, 6), np.float32)})
    publish(store, nodes["denoise"], (root / "made").read_bytes())
    return store.payload(nodes["denoise"].artifact)


@pytest.mark.parametrize("form", ["file", "folder", "manifest", "title", "key", "short key", "copy"])
def test_an_artifact_is_known_by_the_store_it_is_in(tmp_path: Path, form: str):
    root = build_project(tmp_path / "project")
    file, node = publish_latents(root), nodes_of(root)["denoise"]
    name = {
        "file": str(file),
        "folder": str(file.parent),
        "manifest": str(file.parent / "manifest.json"),
        "title": node.title,
        "key": node.key,
        "short key": node.key[:8],
        "copy": str(shutil.copy(file, tmp_path / "copy.bin")),
    }[form]
    record = find_record(name, open_project(root, {}))
    assert (record.what, stages_of(record)) == ("latents.safetensors", ["encode", "denoise"])
    assert record.name == name


@pytest.mark.parametrize("form", ["file", "folder", "manifest"])
def test_an_artifact_of_another_project_is_known_by_its_own_store(tmp_path: Path, empty: Project, form: str):
    file = publish_latents(build_project(tmp_path / "project"))
    name = {"file": file, "folder": file.parent, "manifest": file.parent / "manifest.json"}[form]
    assert stages_of(find_record(str(name), empty)) == ["encode", "denoise"]


def test_a_manifest_that_was_copied_knows_its_own_stage_and_names_what_is_missing(tmp_path: Path, empty: Project):
    root = build_project(tmp_path / "project")
    file = publish_latents(root)
    record = find_record(str(shutil.copy(file.parent / "manifest.json", tmp_path / "copy.txt")), empty)
    assert (stages_of(record), [*record.missing]) == (["denoise"], [nodes_of(root)["encode"].artifact])


def test_a_forgotten_artifact_is_known_by_its_folder(tmp_path: Path):
    root = build_project(tmp_path / "project")
    folder = publish_latents(root).parent
    Store(root / "artifacts").forget(nodes_of(root)["denoise"].artifact)
    assert stages_of(find_record(str(folder), open_project(root, {}))) == ["encode", "denoise"]


def test_a_video_that_has_been_made_is_known_by_its_name(tmp_path: Path, video: Path):
    root = build_project(tmp_path / "project")
    (root / "artifacts/videos").mkdir()
    shutil.copy(video, root / "artifacts/videos/night.mp4")
    record = find_record("night", open_project(root, {}))
    assert (record.name, stages_of(record)) == ("artifacts/videos/night.mp4", ALL)


@pytest.mark.parametrize("name", ["demo", "demo.draft"])
def test_a_video_that_has_not_been_made_yet_is_said_to_be_so(made: Path, name: str):
    assert refusal(name, open_project(made, {})) == f"{name}: has not been made yet. `doit {name}` makes it."


@pytest.mark.parametrize("name", ["harbour-2", "harbour-2.draft"])
def test_of_a_sweep_that_has_not_been_made_yet_its_videos_can_be_listed(made: Path, name: str):
    path = write_sweep(made, "denoise.seed = [1, 2]\n")
    said = refusal(name, open_project(made, {}))
    path.unlink()
    assert said == f"{name}: has not been made yet. `doit list harbour` names the videos of that sweep."


def test_the_metadata_of_a_video_can_be_in_a_file_of_its_own(tmp_path: Path, made: Path, empty: Project):
    (tmp_path / "video.json").write_text(f"\n {line_of(made)}")
    record = find_record(str(tmp_path / "video.json"), empty)
    assert (record.what, record.origin, stages_of(record)) == ("the metadata of a video", "itself", ALL)


def test_a_key_that_means_several_is_an_error(tmp_path: Path):
    root = build_project(tmp_path / "project")
    for stage in ("encode", "denoise"):
        (root / "artifacts" / stage / ("a" * 32)).mkdir(parents=True)
    assert refusal("aaaaaa", open_project(root, {})) == (
        "aaaaaa: means 2 artifacts: denoise:aaaaaaaaaaaa, encode:aaaaaaaaaaaa."
    )


def test_an_artifact_without_a_manifest_is_an_error(tmp_path: Path):
    root = build_project(tmp_path / "project")
    folder = root / "artifacts/encode" / ("a" * 32)
    folder.mkdir(parents=True)
    assert refusal("encode:aaaaaaaaaaaa", open_project(root, {})) == (
        f"encode:aaaaaaaaaaaa: {folder} has no manifest.json that can be read."
    )


def test_a_name_of_nothing_is_an_error_with_the_nearest_there_is(tmp_path: Path, video: Path):
    root = build_project(tmp_path / "project")
    (root / "artifacts/videos").mkdir()
    shutil.copy(video, root / "artifacts/videos/night.mp4")
    project = open_project(root, {})
    said = "no such file, artifact or video that has been made."
    assert refusal("nihgt", project) == (
        f"nihgt: {said} Did you mean `night`? `doit list --all` names the present ones."
    )
    assert refusal("\x1b[2J\n", project) == rf"\x1b[2J\n: {said} `doit list --all` names the present ones."


HEADER = json.dumps({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}).encode()
KINDS = "is neither a video (mp4), nor a safetensors file, nor a manifest. Name one that `doit` has made."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty."),
        (b"\x00", KINDS),
        (b"hello, world, this is a text", KINDS),
        (b"\x1aE\xdf\xa3 and so on, which is a Matroska file", KINDS),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", KINDS),
        (b"\x00\x00\x00\x08ftyp", "is a video that does not say how it was made: another tool has made it, or has "
         "taken its metadata away. Name the file as `doit` has written it."),
        (b"\x00\x00\x00\x14ftypisom", "cannot be read as a video: it was cut, or is no whole mp4 file."),
        (b"{", "is not a manifest: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)."),
        (b"{}", "is JSON, but neither a manifest nor the metadata of a video."),
        (b'{"payload": 1}', "is not a manifest: wrong, missing or unknown: code, components, digest, format, inputs, "
         "key, parameters, payload, size_bytes, stage."),
        (b'{"stages": {}}', "is not a manifest: its format is 'None', and this version reads 1."),
        (b'{"a":' * 100_000, "is not a manifest: it is nested too deeply."),
        (b'{"a": ' + b"1" * 10_000 + b"}", "is not a manifest: it has a number of thousands of digits."),
        (struct.pack("<Q", 10) + b"{", "is not a whole safetensors file: it has 9 bytes, and its header would have "
         "10."),
        (struct.pack("<Q", ord("{")) + b"{", "is not a whole safetensors file: it has 9 bytes, and its header would "
         "have 123."),
        (struct.pack("<Q", len(HEADER)) + HEADER, f"is not a whole safetensors file: it has {8 + len(HEADER)} bytes, "
         f"its header says {10 + len(HEADER)}."),
        (struct.pack("<Q", 200_000) + b'{"a":' * 40_000, "is not a whole safetensors file: it is nested too deeply."),
    ],
)  # fmt: skip
def test_what_this_project_has_not_made_is_one_message(tmp_path: Path, empty: Project, content: bytes, message: str):
    file = tmp_path / "file.mp4"
    file.write_bytes(content)
    assert refusal(file, empty) == f"{file}: {message}"


def test_a_comment_of_another_tool_is_quoted_without_orders_to_a_terminal(tmp_path: Path, empty: Project):
    line = json.dumps({"format": "\x1b[2J", "stages": {}})
    file = write_mp4(tmp_path / "video.mp4", line)
    assert refusal(file, empty) == (
        f"{file}: is a video whose metadata this project has not written, or not so: its format is '\\x1b[2J', and "
        "this version reads 1."
    )


def test_tensors_that_no_artifact_has_are_named(tmp_path: Path, empty: Project):
    file = tmp_path / "weights.safetensors"
    write_tensors(file, {name: np.zeros(1, np.float32) for name in "abcde"})
    assert refusal(file, empty) == (
        f"{file}: holds the tensors a, b, c and 2 others, and nothing that says how they were made. That stands in the "
        f"store, in the manifest.json of the artifact, and no artifact of {empty.store.root} has these bytes. Name the "
        "file in the store that made it, or a video that was made from it."
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "cannot be read: is a FIFO, not a file."),
        (Path.mkdir, "is a folder without a manifest.json. Name a file, or an artifact's folder."),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links."),
        (lambda path: path.symlink_to("/dev/zero"), "cannot be read: is a device, not a file."),
        (lambda path: path.symlink_to("gone"), "cannot be read: No such file or directory."),
    ],
)
def test_what_is_no_file_is_not_opened(tmp_path: Path, empty: Project, make: object, message: str):
    assert callable(make)
    make(tmp_path / "file.mp4")
    assert refusal(tmp_path / "file.mp4", empty) == f"{tmp_path / 'file.mp4'}: {message}"


def test_ten_gigabytes_of_zeros_are_not_read(tmp_path: Path, empty: Project):
    file = tmp_path / "zeros.mp4"
    with file.open("wb") as opened:
        opened.truncate(10 << 30)
    assert refusal(file, empty) == f"{file}: {KINDS}"


def test_a_name_that_no_file_can_have_is_an_error(empty: Project):
    assert refusal("a\0b", empty) == (
        r"a\x00b: no such file, artifact or video that has been made. `doit list --all` names the present ones."
    )
    assert refusal("~nobody-of-this-name/a.mp4", empty) == (
        "~nobody-of-this-name/a.mp4: is no name of a file: Could not determine home directory."
    )


def test_a_name_that_is_no_text_is_shown_without_harm(tmp_path: Path, video: Path, empty: Project):
    file = f"{tmp_path}/\udcff.mp4"
    shutil.copy(video, file)
    assert stages_of(find_record(file, empty)) == ALL
    assert refusal(f"{file}x", empty).startswith(rf"{tmp_path}/\udcff.mp4x: no such file")
