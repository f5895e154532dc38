"""The manifest file."""

import json

import pytest

from stages.keys import Digest, Key
from stages.manifest import Input, Manifest

MANIFEST = Manifest(
    format=1,
    stage="denoise",
    key=Key("a" * 32),
    parameters={"seed": 42, "flow_shift": None},
    components={"transformer": "b" * 32},
    inputs={"encode": Input(Key("c" * 32), Digest("d" * 32))},
    code=Digest("e" * 32),
    payload="latents.safetensors",
    size_bytes=7,
    digest=Digest("f" * 32),
)


def test_a_manifest_is_read_back_equal():
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_the_file_is_sorted_and_ends_with_a_line_break():
    text = MANIFEST.to_json()
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert text.endswith("}\n")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"inputs": {}}', '{"inputs": {"a": {"x": 1}}}'])
def test_what_is_no_manifest_is_refused(text: str):
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Manifest.from_json(text)
