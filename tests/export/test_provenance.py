"""The line of JSON that a video carries."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.export.provenance import describe_provenance
from stages.keys import FORMAT, Digest, JsonValue, Node
from stages.store.manifest import Input, Manifest
from tests.builders import PIPELINE, payload_of

DIGEST = Digest("0" * 32)
CODE = Digest("c0de" * 8)  # of the export


def build_manifest(node: Node) -> Manifest:
    """That of an artifact of `node` whose bytes, like those of what it was made from, have the digest DIGEST."""
    return Manifest(
        format=FORMAT,
        stage=node.stage,
        key=node.key,
        parameters=node.parameters,
        components=node.components,
        inputs={stage: Input(key, DIGEST) for stage, key in node.inputs.items()},
        code=DIGEST,
        payload=payload_of(node.stage),
        size_bytes=0,
        digest=DIGEST,
    )


def build_nodes(prompt: str = "a cat 猫", **parameters: JsonValue) -> tuple[Node, Node, Node, Node]:
    """One of each stage; `parameters` are those of denoise."""
    encode = Node("encode", {"prompt": prompt}, {"text_encoder": "org/model@" + "a" * 40}, {})
    denoise = Node("denoise", parameters, {"transformer": "b" * 32}, {"encode": encode.key})
    decode = Node("decode", {}, {"vae": "c" * 32}, {"denoise": denoise.key})
    return encode, denoise, decode, Node("export", {"fps": 24}, {}, {"decode": decode.key})


def describe(nodes: tuple[Node, ...]) -> str:
    return describe_provenance(nodes[-1], [build_manifest(node) for node in nodes[:-1]], CODE)


def test_the_line_holds_prompt_parameters_keys_models_and_code():
    encode, denoise, decode, export = nodes = build_nodes(seed=7, guidance_scale=1.5)
    assert describe(nodes) == (
        '{"format":1,"prompt":"a cat 猫","stages":{'
        f'"decode":{{"code":"{DIGEST}","components":{{"vae":"{"c" * 32}"}},"key":"{decode.key}","parameters":{{}}}},'
        f'"denoise":{{"code":"{DIGEST}","components":{{"transformer":"{"b" * 32}"}},"key":"{denoise.key}",'
        '"parameters":{"guidance_scale":1.5,"seed":7}},'
        f'"encode":{{"code":"{DIGEST}","components":{{"text_encoder":"org/model@{"a" * 40}"}},"key":"{encode.key}",'
        '"parameters":{"prompt":"a cat 猫"}},'
        f'"export":{{"code":"{CODE}","components":{{}},"key":"{export.key}","parameters":{{"fps":24}}}}}}}}'
    )


@pytest.mark.parametrize("stage", ["encode", "denoise"])
def test_in_place_of_a_prompt_stands_the_digest_of_the_file(stage: str):
    first = Node(stage, {"from_file": "d" * 32}, {}, {})
    nodes = [first]
    for name in PIPELINE.names[PIPELINE.names.index(stage) + 1 :]:
        nodes.append(Node(name, {}, {}, {nodes[-1].stage: nodes[-1].key}))
    record = json.loads(describe(tuple(nodes)))
    assert record["prompt"] is None
    assert record["stages"].keys() == {node.stage for node in nodes}
    assert record["stages"][stage] == {
        "code": DIGEST,
        "components": {},
        "key": first.key,
        "parameters": {"from_file": "d" * 32},
    }


def test_order_does_not_matter():
    encode, denoise, decode, export = build_nodes(seed=7, flow_shift=None)
    turned = Node("denoise", dict(reversed(denoise.parameters.items())), denoise.components, denoise.inputs)
    assert describe((decode, turned, encode, export)) == describe((encode, denoise, decode, export))


def test_nan_is_an_error():
    with pytest.raises(ValueError, match="not JSON compliant"):
        describe_provenance(Node("export", {"fps": float("nan")}, {}, {}), [build_manifest(build_nodes()[0])], CODE)


@given(st.text() | st.text("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\\u"), st.integers(), st.floats(-1e9, 1e9))
def test_every_value_comes_back_from_one_line(prompt: str, seed: int, scale: float):
    line = describe(build_nodes(prompt, seed=seed, guidance_scale=scale))
    assert line.splitlines() == [line]
    record = json.loads(line)
    assert record["prompt"] == record["stages"]["encode"]["parameters"]["prompt"] == prompt
    assert record["stages"]["denoise"]["parameters"] == {"seed": seed, "guidance_scale": scale}
