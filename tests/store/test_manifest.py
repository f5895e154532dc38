"""The manifest file."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.keys import Digest, Key, Node, digest_bytes
from stages.store.manifest import Input, Manifest

NODE = Node("denoise", {"seed": 42, "flow_shift": None}, {"transformer": "b" * 32}, {"encode": Key("c" * 32)})
MANIFEST = Manifest(
    format=1,
    stage=NODE.stage,
    key=NODE.key,
    parameters=NODE.parameters,
    components=NODE.components,
    inputs={"encode": Input(Key("c" * 32), Digest("d" * 32))},
    code=Digest("e" * 32),
    payload="latents.safetensors",
    size_bytes=7,
    digest=Digest("f" * 32),
)


def old_fields() -> dict[str, object]:
    """Those of a manifest that was written before there was a checksum."""
    fields = json.loads(MANIFEST.to_json())
    del fields["checksum"]
    return fields


def edited(**changes: object) -> str:
    return json.dumps(old_fields() | changes)


def test_a_manifest_is_read_back_equal():
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_a_manifest_leads_back_to_its_node():
    assert MANIFEST.node == NODE


def test_a_manifest_of_a_file_has_no_inputs():
    node = Node("denoise", {"from_file": "a" * 32}, {}, {})
    manifest = replace(MANIFEST, key=node.key, parameters=node.parameters, components={}, inputs={})
    assert Manifest.from_json(manifest.to_json()) == manifest
    with_input = replace(manifest, inputs=MANIFEST.inputs)
    with pytest.raises(ValueError, match=r"^its key is not that of its stage, parameters, components and inputs$"):
        Manifest.from_json(with_input.to_json())


def test_the_file_is_sorted_and_ends_with_a_line_break():
    text = MANIFEST.to_json()
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        ("[" * 100_000, "it is nested too deeply"),
        (edited(size_bytes="7"), "wrong, missing or unknown: size_bytes"),
        (edited(size_bytes=True), "wrong, missing or unknown: size_bytes"),
        (edited(size_bytes=2**63), "wrong, missing or unknown: size_bytes"),
        (edited(size_bytes=-1), "wrong, missing or unknown: size_bytes"),
        (edited(key="C" * 32, digest="d" * 31), "wrong, missing or unknown: digest, key"),
        (edited(format=2), "wrong, missing or unknown: format"),
        (edited(stage=["denoise"]), "wrong, missing or unknown: stage"),
        (edited(inputs={"../outside": {"key": "c" * 32, "digest": "d" * 32}}), "wrong, missing or unknown: inputs"),
        (edited(inputs={"": {"key": "c" * 32, "digest": "d" * 32}}), "wrong, missing or unknown: inputs"),
        (edited(size_bytes=7).replace(": 7,", f": {'9' * 5000},"), "it has a number of thousands of digits"),
        (edited(parameters={"x": float("inf")}), "Out of range float values are not JSON compliant"),
        (edited(stage="Up/scale"), "wrong, missing or unknown: stage"),
        (edited(stage="upscale"), "its key is not that of its stage, parameters, components and inputs"),
        (edited(components={"transformer": 1}), "wrong, missing or unknown: components"),
        (edited(inputs={"encode": {"key": "c" * 32}}), "wrong, missing or unknown: inputs"),
        (edited(more=1), "wrong, missing or unknown: more"),
        (edited(payload="../x"), "wrong, missing or unknown: payload"),
        (edited(payload="run.json"), "wrong, missing or unknown: payload"),
        (edited(payload="run.damaged.json"), "wrong, missing or unknown: payload"),
        (edited(inputs={}), "its key is not that of its stage, parameters, components and inputs"),
        (edited(parameters={}), "its key is not that of its stage, parameters, components and inputs"),
        (edited(key="a" * 32), "its key is not that of its stage, parameters, components and inputs"),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_reason(text: str, message: str):
    with pytest.raises(ValueError, match=r".*") as error:
        Manifest.from_json(text)
    assert str(error.value).removesuffix(": inf") == message  # which Python says from 3.13 on


@pytest.mark.parametrize("depth", range(100, 1500, 50))
def test_parameters_that_are_nested_at_any_depth_are_refused(depth: int):
    sealed = MANIFEST.to_json().replace('"seed": 42', f'"seed": {"[" * depth}{"]" * depth}')
    text = re.sub(
        '  "checksum": .*\n', "", sealed
    )  # as manifests were before, so that it is the nesting that is refused
    with pytest.raises(ValueError, match=r"^(it is nested too deeply|its key is not that of its stage.*)$"):
        Manifest.from_json(text)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@settings(derandomize=True, deadline=None)
@given(st.sampled_from(sorted(json.loads(MANIFEST.to_json()))), _VALUES)
def test_no_field_can_have_another_value(name: str, value: object):
    """Those that the key does not cover must be of their form; nothing but ValueError is raised."""
    try:
        changed = Manifest.from_json(edited(**{name: value}))
    except ValueError:
        return
    assert name in ("code", "digest", "payload", "size_bytes") or changed == MANIFEST


def test_a_missing_field_is_refused():
    for name in old_fields():
        fields = old_fields()
        del fields[name]
        with pytest.raises(ValueError, match=f"^wrong, missing or unknown: {name}$"):
            Manifest.from_json(json.dumps(fields))


@given(st.text() | st.text('[]{}",:0e-nul\\ud8'))
def test_any_other_text_is_refused(text: str):
    with pytest.raises(ValueError, match=r".*"):
        Manifest.from_json(text)


def flips(content: bytes) -> Iterator[bytes]:
    """The content with one bit changed, each bit in turn."""
    for place in range(8 * len(content)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


def test_with_any_bit_changed_it_is_refused():
    content = MANIFEST.to_json().encode()
    num_refused = 0
    for changed in flips(content):
        with pytest.raises(ValueError, match=r".*"):
            Manifest.from_json(changed.decode())
        num_refused += 1
    assert num_refused == 8 * len(content)


def test_cut_at_any_length_it_is_refused():
    text = MANIFEST.to_json()
    for length in range(len(text)):
        with pytest.raises(ValueError, match=r".*"):
            Manifest.from_json(text[:length])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + " ",
        lambda text: text + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("  ", " "),
        lambda text: json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n\n",
        lambda text: text.replace('"seed": 42', '"seed": 42.0'),
        lambda text: text.replace("checksum", "Checksum"),
        lambda text: text.replace('{\n  "checksum"', '{ "checksum"'),
        lambda text: text.upper(),
    ],
)
def test_written_in_any_other_way_it_is_refused(change: Callable[[str], str]):
    text = change(MANIFEST.to_json())
    assert text != MANIFEST.to_json()
    with pytest.raises(ValueError, match=r".*"):
        Manifest.from_json(text)


def test_two_changes_that_fit_each_other_are_refused_as_well():
    text = MANIFEST.to_json().replace('"size_bytes": 7', '"size_bytes": 8').replace("f" * 32, "0" * 32)
    with pytest.raises(ValueError, match=r"^it is not what was written: its checksum is another one$"):
        Manifest.from_json(text)


def test_one_that_was_written_before_there_was_a_checksum_is_read():
    assert Manifest.from_json(json.dumps(old_fields(), indent=2, sort_keys=True) + "\n") == MANIFEST


def test_the_checksum_is_that_of_all_else():
    first, checksum, *rest = MANIFEST.to_json().split("\n")
    assert checksum == f'  "checksum": "{digest_bytes(chr(10).join([first, *rest]).encode())}",'


def test_a_prompt_that_looks_like_a_checksum_changes_nothing():
    node = Node("encode", {"prompt": '{\n  "checksum": "' + "0" * 32 + '",\n'}, {}, {})
    manifest = replace(MANIFEST, stage="encode", key=node.key, parameters=node.parameters, components={}, inputs={})
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_an_empty_file_is_said_to_be_empty():
    with pytest.raises(ValueError, match=r"^it is empty$"):
        Manifest.from_json("")
