"""The process that paints."""

import io
import json
from pathlib import Path

import av
import numpy as np
import pytest

from stages.report.painting import main, paint_into
from stages.store.posters import FACTS, PICTURES
from tests.report.reports import write_clip


def test_pictures_are_put_into_the_folder(tmp_path: Path):
    write_clip(tmp_path / "video.mp4", green=0)
    (tmp_path / "pictures").mkdir()
    assert paint_into(tmp_path / "video.mp4", tmp_path / "pictures") == ""
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {*PICTURES}
    assert json.loads((tmp_path / "pictures" / FACTS).read_text())["num_frames"] == 24


def test_a_file_that_cannot_be_painted_is_answered_and_the_next_is_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    write_clip(tmp_path / "video.mp4", green=0)
    orders = "".join(f"{json.dumps([str(tmp_path / name), str(tmp_path)])}\n" for name in ("bad.mp4", "video.mp4"))
    monkeypatch.setattr("sys.stdin", io.StringIO(orders))
    main()
    why, well = map(json.loads, capsys.readouterr().out.splitlines())
    assert "bad.mp4" in why
    assert well == ""


def test_a_file_that_holds_sound_alone_is_answered(tmp_path: Path):
    with av.open(tmp_path / "sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert paint_into(tmp_path / "sound.mp4", tmp_path)
