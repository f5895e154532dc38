"""The line of JSON that a video carries."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.export.provenance import describe_provenance

ENCODE = {"stage": "encode", "key": "e1", "parameters": {"prompt": "a cat 猫", "negative_prompt": ""}}
DENOISE = {"stage": "denoise", "key": "d2", "parameters": {"seed": 7, "guidance_scale": 1.5}}
EXPORT = {"stage": "export", "key": "x4", "parameters": {"fps": 24}}


def test_the_line_holds_prompt_parameters_and_keys():
    assert describe_provenance([ENCODE, DENOISE, EXPORT]) == (
        '{"format":1,"prompt":"a cat 猫","stages":{'
        '"denoise":{"key":"d2","parameters":{"guidance_scale":1.5,"seed":7}},'
        '"encode":{"key":"e1","parameters":{"negative_prompt":"","prompt":"a cat 猫"}},'
        '"export":{"key":"x4","parameters":{"fps":24}}}}'
    )


def test_order_does_not_matter():
    turned = {**DENOISE, "parameters": dict(reversed(DENOISE["parameters"].items()))}
    assert describe_provenance([EXPORT, turned, ENCODE]) == describe_provenance([ENCODE, DENOISE, EXPORT])


def test_what_else_a_manifest_holds_stays_out():
    whole = {**ENCODE, "inputs": [], "code": "c0de", "outputs": [{"name": "embeddings.safetensors"}]}
    assert describe_provenance([whole]) == describe_provenance([ENCODE])


def test_embeddings_from_a_file_have_no_prompt():
    from_file = {"stage": "encode", "key": "e9", "parameters": {"from_file": "embeddings.safetensors"}}
    assert json.loads(describe_provenance([from_file, DENOISE, EXPORT]))["prompt"] is None


def test_a_video_of_latents_from_a_file_has_no_prompt():
    assert json.loads(describe_provenance([DENOISE, EXPORT]))["prompt"] is None


def test_nan_is_an_error():
    with pytest.raises(ValueError, match="not JSON compliant"):
        describe_provenance([{**DENOISE, "parameters": {"guidance_scale": float("nan")}}])


@settings(deadline=None)
@given(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_every_value_comes_back(prompt, seed, scale):
    manifest = {"stage": "encode", "key": "e", "parameters": {"prompt": prompt, "seed": seed, "scale": scale}}
    record = json.loads(describe_provenance([manifest]))
    assert record["prompt"] == prompt
    assert record["stages"]["encode"]["parameters"] == manifest["parameters"]
