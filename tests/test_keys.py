"""Canonical JSON, digests and keys."""

import json
import math
import random
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.keys import ArtifactId, Key, Node, artifact_from, canonical_json, digest_bytes, short

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("abc~é")
)
PARAMETERS = st.dictionaries(st.text("abc", min_size=1), SCALARS, min_size=1, max_size=6)


def build_node(**changes: object) -> Node:
    fields = {
        "stage": "denoise",
        "parameters": {"seed": 42, "guidance_scale": 6.0, "flow_shift": None, "dtype": "bfloat16"},
        "components": {"transformer": "0" * 32},
        "inputs": {"encode": Key("1" * 32)},
    }
    return Node(**(fields | changes))  # type: ignore[arg-type]


def test_keys_are_pinned():
    """A change here makes everything that users have stored unfindable: raise FORMAT and say so in the CHANGELOG."""
    assert build_node().key == "d432a1c31138ccf0d4da80579020f7b3"
    encode = Node("encode", {"prompt": "A cat 🐈 plays “piano”"}, {"text_encoder": "org/model@" + "a" * 40}, {})
    assert encode.key == "abe0f22c9ad018e9870e9247d4a8c5b3"
    assert Node("denoise", {"from_file": "0" * 32}, {}, {}).key == "6832f9af209d4f3d516f81d593dce823"


def test_canonical_json_is_pinned():
    value = {"b": [1, 2.5, True, None], "a": {"é": "x\n"}}
    assert canonical_json(value) == '{"a":{"é":"x\\n"},"b":[1,2.5,true,null]}'.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_without_json_are_refused(value: float):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": value})


@given(PARAMETERS, st.randoms())
def test_key_ignores_the_order_of_parameters(parameters: dict[str, object], order: random.Random):
    items = list(parameters.items())
    order.shuffle(items)
    assert build_node(parameters=dict(items)).key == build_node(parameters=parameters).key


@given(PARAMETERS, PARAMETERS)
def test_key_differs_on_any_value(one: dict[str, object], other: dict[str, object]):
    are_equal = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (build_node(parameters=one).key == build_node(parameters=other).key) == are_equal


@pytest.mark.parametrize(
    "change",
    [{"stage": "decode"}, {"components": {"transformer": "2" * 32}}, {"inputs": {"encode": Key("3" * 32)}}],
)
def test_key_differs_on_stage_component_and_input(change: dict[str, object]):
    assert build_node(**change).key != build_node().key


def test_digest_is_xxh3_128():
    assert digest_bytes(b"") == "99aa06d3014798d86001c324468d497f"  # the algorithm's published value for no bytes


def test_title_shows_stage_and_twelve_digits():
    node = build_node()
    assert node.title == f"denoise:{node.key[:12]}"
    assert short(node.key) == node.key[:12]


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        "encode",
        {},
        {"stage": "encode"},
        {"stage": [], "key": []},
        {"stage": "encode", "key": 1},
        {"stage": "../x", "key": "e" * 32},
        {"stage": "Encode", "key": "e" * 32},
        {"stage": "encode", "key": "e" * 31},
        {"stage": "encode", "key": "e" * 32 + "\n"},
    ],
)
def test_what_names_no_artifact_is_refused(fields: object):
    with pytest.raises(ValueError, match="it names no artifact"):
        artifact_from(fields)


def test_an_artifact_is_read_from_its_fields_whatever_else_is_among_them():
    artifact = ArtifactId("encode", Key("e" * 32))
    assert artifact_from({**asdict(artifact), "more": 1}) == artifact
