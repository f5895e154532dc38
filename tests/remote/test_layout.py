"""Names of objects: pinned, because other versions read them."""

import pytest

from stages.keys import ArtifactId, Digest, Key
from stages.remote.layout import (
    ENTRY_NAME,
    PAYLOAD_OBJECT,
    USE_OBJECT,
    find_variant,
    folder_of_payload,
    folder_of_uses,
    mark_of_copy,
    name_entry,
    name_parts,
    name_touch,
    name_use,
    size_of_part,
    variant_of,
)
from stages.store.manifest import Manifest
from tests.builders import CODE, build_node

NODE = build_node(prompt="x")
ARTIFACT = ArtifactId("encode", Key("a" * 32))


def manifest_of(size_bytes: int) -> Manifest:
    return Manifest.of(
        NODE, {}, code=CODE, payload="embeddings.safetensors", size_bytes=size_bytes, digest=Digest("d" * 32)
    )


def test_names_of_objects_are_pinned():
    variant = find_variant(CODE, {"encode": Digest("e" * 32)})
    assert variant == "54fda4d4da1b6781c772e266589f2481"
    assert name_entry(ARTIFACT, variant, is_whole=True) == f"artifacts/encode/{'a' * 32}/{variant}.json"
    assert name_entry(ARTIFACT, variant, is_whole=False) == f"records/encode/{'a' * 32}/{variant}.json"


def test_a_variant_differs_by_code_and_by_what_was_read_and_not_by_what_came_out():
    other = find_variant(Digest("0" * 32), {})
    assert variant_of(manifest_of(1)) == variant_of(manifest_of(2)) == find_variant(CODE, {})
    assert len({find_variant(CODE, {}), other, find_variant(CODE, {"encode": Digest("e" * 32)})}) == 3


def test_a_small_payload_is_one_object_under_its_own_name():
    assert name_parts(manifest_of(8), part_bytes=8) == [f"payloads/{'d' * 32}/embeddings.safetensors"]


def test_an_empty_payload_is_an_object():
    assert name_parts(manifest_of(0), part_bytes=8) == [f"payloads/{'d' * 32}/embeddings.safetensors"]


def test_a_large_payload_is_in_parts_that_are_full_but_for_the_last():
    manifest = manifest_of(17)
    assert [name.rpartition(".")[2] for name in name_parts(manifest, part_bytes=8)] == ["00000", "00001", "00002"]
    assert [size_of_part(manifest, index, 8) for index in range(3)] == [8, 8, 1]


@pytest.mark.parametrize("name", ["artifacts/encode/x/y.json", "payloads/a/b.json", "artifacts/encode", ""])
def test_other_objects_in_a_bucket_are_no_entries(name: str):
    assert ENTRY_NAME.fullmatch(name) is None


def test_names_of_what_collectors_and_pushes_say_to_each_other_are_pinned():
    variant, digest, collector = find_variant(CODE, {}), Digest("d" * 32), "0" * 32
    assert folder_of_payload(digest, "c" * 32) == f"payloads/{digest}/{'c' * 32}"
    assert name_touch(digest, "") == f"payloads/{digest}/.touched"
    assert mark_of_copy(digest, "c" * 32, collector) == f"payloads/{digest}/{'c' * 32}/.collected-{collector}"
    assert name_use(ARTIFACT, variant) == f"uses/encode/{'a' * 32}/{variant}/used"
    assert folder_of_uses(ARTIFACT, variant) == f"uses/encode/{'a' * 32}/{variant}"


def test_names_of_parts_are_pinned_and_no_two_sizes_share_one():
    first = f"payloads/{'d' * 32}/embeddings.safetensors"
    manifest = manifest_of(17 << 20)
    assert name_parts(manifest, part_bytes=8 << 20) == [f"{first}.0000{number}" for number in range(3)]
    assert name_parts(manifest) == [f"{first}.16777216.0000{number}" for number in range(2)]
    assert len({name for size in range(1, 18) for name in name_parts(manifest_of(17), size)}) == sum(
        -(-17 // size) for size in range(1, 18)
    )


def test_parts_of_a_further_copy_are_below_its_name():
    names = name_parts(manifest_of(9), part_bytes=8, copy="c" * 32)
    assert names == [f"payloads/{'d' * 32}/{'c' * 32}/embeddings.safetensors.8.0000{number}" for number in range(2)]


@pytest.mark.parametrize(
    ("name", "kind", "copy"),
    [
        (".touched", "touched", None),
        (f".collected-{'0' * 32}", "mark", None),
        ("video.mp4", "part", None),
        (f"{'c' * 32}/video.mp4.00001", "part", "c" * 32),
        ("video.mp4.16777216.00001", "part", None),
        ("c" * 32, "part", None),  # a payload may be called so
    ],
)
def test_each_object_of_a_payload_is_of_one_kind(name: str, kind: str, copy: str | None):
    found = PAYLOAD_OBJECT.fullmatch(f"payloads/{'d' * 32}/{name}")
    assert found is not None
    assert [each for each in ("touched", "mark", "part") if found[each]] == [kind]
    assert found["copy"] == copy


@pytest.mark.parametrize("name", ["used", "0" * 32])
def test_each_note_of_an_artifact_is_a_use_or_a_mark(name: str):
    found = USE_OBJECT.fullmatch(f"uses/encode/{'a' * 32}/{'b' * 32}/{name}")
    assert found is not None
    assert (found["used"], found["mark"]) == (("used", None) if name == "used" else (None, name))
