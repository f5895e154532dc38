"""What the hub lists is checked before a path of it is used; what is kept is read back equal."""

import json

import pytest

from stages.models import hub_listing
from stages.models.hub_listing import HubFile, from_json, from_tree, is_blob_id, read_entries, to_json

SHA1, SHA256 = "a" * 40, "b" * 64


def entry(path: object = "vae/config.json", oid: object = SHA1, size: object = 2, **others: object) -> object:
    return {"type": "file", "path": path, "oid": oid, "size": size, **others}


def test_a_small_file_has_gits_hash_and_a_large_one_its_sha256():
    large = entry("vae/m.safetensors", size=134, lfs={"oid": SHA256, "size": 7, "pointerSize": 134})
    assert read_entries([{"type": "directory", "path": "vae"}, entry(), large]) == {
        "vae/config.json": HubFile(SHA1, 2),
        "vae/m.safetensors": HubFile(SHA256, 7),
    }


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//x",
        "a/",
        "",
        ".",
        "a/./b",
        "a\\..\\b",
        "a\nb",
        "a\0b",
        "\ud800",
        7,
        "a" * 1025,
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: object):
    with pytest.raises(ValueError, match="is not the path of a file inside the repository"):
        read_entries([entry(path)])


@pytest.mark.parametrize("path", [".gitattributes", "vae/a..b", "text encoder/“ü”.json", "a:b?.txt"])
def test_an_unusual_path_inside_the_repository_is_taken(path: str):
    assert list(read_entries([entry(path)])) == [path]


@pytest.mark.parametrize("size", [-1, 2**50 + 1, 10**400, 1.5, "2", True, None])
def test_a_size_that_no_file_has_is_refused(size: object):
    with pytest.raises(ValueError, match=r"vae/config.json: .* is not a number of bytes from 0 to 2\^50"):
        read_entries([entry(size=size)])


@pytest.mark.parametrize("oid", ["", "../../x", SHA1[:-1], SHA1.upper(), 7, None])
def test_an_id_that_names_no_blob_is_refused(oid: object):
    with pytest.raises(ValueError, match=r"vae/config.json: .* is not the id of a blob \(40 or 64 hex digits\)"):
        read_entries([entry(oid=oid)])


@pytest.mark.parametrize("odd", [None, 7, "x", [], {"type": "file"}, {"type": "link", "path": "a"}])
def test_an_entry_of_another_form_is_refused(odd: object):
    with pytest.raises(ValueError, match="an entry is neither a file nor a folder"):
        read_entries([odd])


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_list_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.setattr(hub_listing, "MAX_ENTRIES", 3)
    with pytest.raises(ValueError, match="it has more than 3 files and folders"):
        read_entries(entry(f"{number}", type=kind) for number in range(10**9))


def test_a_list_of_as_many_entries_as_there_may_be_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub_listing, "MAX_ENTRIES", 3)
    assert len(read_entries(entry(f"{number}") for number in range(3))) == 3


def test_what_is_kept_is_read_back_equal():
    files = {"vae/“ü”.json": HubFile(SHA1, 0), "m.safetensors": HubFile(SHA256, 2**50)}
    assert from_json(to_json(files)) == files


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_kept_list_that_was_cut_is_refused(cut: int):
    with pytest.raises(ValueError):  # noqa: PT011 (json's own)
        from_json(to_json({"a": HubFile(SHA1, 0)})[:cut])


@pytest.mark.parametrize(
    "kept",
    [
        [],
        {"format": 2, "files": {}},
        {"format": 1},
        {"format": 1, "files": {"a": [SHA1]}},
        {"format": 1, "files": {"../a": [SHA1, 1]}},
        {"format": 1, "files": {"a": ["../x", 1]}},
    ],
)
def test_a_kept_list_of_another_form_is_refused(kept: object):
    with pytest.raises(ValueError):  # noqa: PT011 (the message is nobody's: the hub is asked again)
        from_json(json.dumps(kept))


def tree(files: object, version: object = 1) -> str:
    return json.dumps({"format_version": version, "files": files})


def test_the_list_of_the_hubs_library_is_read():
    large = {"size": 134, "blob_id": SHA1, "lfs_sha256": SHA256, "lfs_size": 7, "xet_hash": "c" * 64}
    assert from_tree(tree({"vae/config.json": {"size": 2, "blob_id": SHA1}, "vae/m.safetensors": large})) == {
        "vae/config.json": HubFile(SHA1, 2),
        "vae/m.safetensors": HubFile(SHA256, 7),
    }


@pytest.mark.parametrize(
    "kept",
    [
        "{",
        "[" * 200_000,
        f'{{"format_version": {"1" * 5000}}}',
        "[]",
        tree({}, version=2),
        tree([]),
        tree({"a": {}}),
        tree({"a": 7}),
        tree({"../a": {"size": 2, "blob_id": SHA1}}),
        tree({"a": {"size": -1, "blob_id": SHA1}}),
    ],
)
def test_a_list_of_the_hubs_library_of_another_form_is_refused(kept: str):
    with pytest.raises(ValueError):  # noqa: PT011 (the message is nobody's: the hub is asked)
        from_tree(kept)


def test_the_id_of_a_blob_is_40_or_64_hex_digits():
    assert [is_blob_id(name) for name in (SHA1, SHA256, SHA1 + "0", "main")] == [True, True, False, False]


def test_a_commit_without_a_file_is_none_that_is_remembered():
    with pytest.raises(ValueError, match="it names no file"):
        read_entries([{"type": "directory", "path": "vae"}])
