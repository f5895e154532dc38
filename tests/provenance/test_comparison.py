"""What differs between what made a video and what would make it here."""

from stages.keys import Digest, Key, Node
from stages.provenance.comparison import (
    list_code_differences,
    list_file_differences,
    list_key_differences,
    list_weight_differences,
    where_from,
)
from stages.provenance.record import Made, Record
from stages.request.params import VideoParams
from stages.request.tables import ModelParams, model_table
from tests.builders import PIPELINE

VAE, OTHER, KEY = "a" * 32, "b" * 32, Key("0" * 32)
MODEL = ModelParams(checkpoint="old")


def decode(vae: str = VAE, code: Digest | None = None) -> Made:
    return Made("decode", KEY, {}, {"vae": vae}, code)


def record_of(*made: Made) -> Record:
    return Record("a.mp4", "a video", "itself", made)


def nodes(**components: str) -> dict[str, Node]:
    return {"decode": Node("decode", {}, components, {})}


def test_the_same_weights_are_no_difference():
    assert list_weight_differences(record_of(decode()), nodes(vae=VAE), MODEL) == []


def test_other_weights_are_named_with_the_parameter_that_they_come_from():
    (line,) = list_weight_differences(record_of(decode()), nodes(vae=OTHER), MODEL)
    assert line == f'decode: vae: the video was made with {VAE}, model.checkpoint = "old" is {OTHER}'


def test_a_component_from_elsewhere_is_named_by_its_own_parameter():
    model = model_table(("vae",)).model_validate({"components.vae": "猫/vae"})
    assert where_from("vae", model) == 'model.components.vae = "猫/vae"'
    assert where_from("transformer", model) == 'model.checkpoint = "builtin:shapes"'


def test_a_component_that_only_one_of_them_reads_is_named():
    assert list_weight_differences(record_of(decode()), nodes(upscaler=OTHER), MODEL) == [
        f"decode: vae: the video was made with {VAE}, and here the stage reads no vae",
        f'decode: upscaler: the video was made without, model.checkpoint = "old" is {OTHER}',
    ]


def test_a_stage_that_is_not_here_has_no_weights_to_compare():
    assert list_weight_differences(record_of(decode()), {}, MODEL) == []


def test_other_code_is_named_by_its_stage():
    code = Digest("c" * 32)
    assert list_code_differences(record_of(decode(code=code)), lambda _: code) == []
    assert list_code_differences(record_of(decode(code=code)), lambda _: "d" * 32) == [
        f"decode: code: the video was made with {code}, and the code here is {'d' * 32}"
    ]


def test_code_that_is_not_known_is_not_compared():
    assert list_code_differences(record_of(decode()), lambda _: "d" * 32) == []
    assert list_code_differences(record_of(decode(code=Digest("c" * 32))), lambda _: None) == []


def test_another_file_from_elsewhere_is_named():
    made = Made("denoise", KEY, {"from_file": VAE}, {})
    table = PIPELINE["denoise"].parameters.model_construct(from_file="/data/latents")
    video = VideoParams(MODEL, {"denoise": table})
    node = {"denoise": Node("denoise", {"from_file": OTHER}, {}, {})}
    assert list_file_differences(record_of(made), node, video) == [
        f"denoise: from_file: the video was made with {VAE}, and /data/latents is {OTHER}"
    ]
    assert list_file_differences(record_of(decode()), nodes(vae=VAE), video) == []


def test_other_keys_are_named_by_their_stages():
    node = Node("decode", {}, {}, {})
    same = Made("decode", node.key, {}, {})
    assert list_key_differences(record_of(same), {"decode": node}) == []
    assert list_key_differences(record_of(decode()), {"decode": node}) == [
        f"decode: key: the video was made as {KEY}, and here it would be {node.key}"
    ]
    assert list_key_differences(record_of(decode()), {}) == [
        f"decode: key: the video was made as {KEY}, and here it would be none: it has no such stage"
    ]
