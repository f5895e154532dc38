"""The codecs, one for each name that the parameters know."""

from typing import get_args

import pytest

from stages.errors import ParamsError
from stages.export import codecs
from stages.export.codecs import CODECS, Codec, find_codec
from stages.geometry import VideoSize
from stages.pipeline.export import ExportParams


def test_each_codec_of_the_parameters_can_be_written():
    assert tuple(CODECS) == get_args(ExportParams.model_fields["codec"].annotation)
    assert [find_codec(name) for name in CODECS] == list(CODECS.values())


@pytest.mark.parametrize(
    ("codec", "settings"),
    [
        ("h264", {"threads=8"}),
        ("hevc", {"pools=8", "frame-threads=4"}),
        ("av1", {"lp=4"}),
        ("vp9", {"threads=8"}),
    ],
)
def test_the_number_of_threads_is_not_left_to_the_machine(codec, settings):
    options = CODECS[codec].options(18, VideoSize(9, 720, 1280))
    flat = {f"{name}={value}" for name, value in options.items()} | set(":".join(options.values()).split(":"))
    assert settings <= flat


@pytest.mark.parametrize(
    ("there", "choice"),
    [(["h264", "vp9"], 'a codec that is there: "h264", "vp9".'), ([], "a codec that is there: none is.")],
)
def test_a_missing_encoder_is_reported_with_the_fix(monkeypatch, there, choice):
    gone = {name: Codec("libgone", codec.tag, codec.options) for name, codec in CODECS.items() if name not in there}
    monkeypatch.setattr(codecs, "CODECS", {**CODECS, **gone})
    monkeypatch.setattr("av.__version__", "18.0")
    with pytest.raises(ParamsError) as caught:
        find_codec("av1")
    assert str(caught.value) == (
        'export.codec = "av1": the installed PyAV 18.0 has no encoder libgone. Install PyAV\'s own wheel, which has it '
        f"(`pip install --force-reinstall --only-binary av av`), or set export.codec to {choice}"
    )
