"""Readers of untrusted text under atheris: `python -m tests.faults.fuzzing READER SECONDS FOLDER`.

Each may raise ValueError and nothing else. FOLDER takes inputs that were interesting, and the one that failed.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

import atheris  # type: ignore[import-not-found]  # of the extra `fuzz`

with atheris.instrument_imports(include=["stages", "tomllib", "json"]):
    from stages.machine.json_files import decode_json, parse_json
    from stages.models.component_files import parse_index
    from stages.models.hub_listing import from_json
    from stages.pipeline.toml_text import parse_toml
    from stages.provenance.mp4_comment import read_comment
    from stages.provenance.record import parse_line
    from stages.store.manifest import Manifest
    from stages.tensors.header import parse_header

from stages.errors import CheckpointError
from tests.store.test_manifest import MANIFEST


def _header(data: bytes) -> None:
    with TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        parse_header(file)


def _mp4(data: bytes) -> None:
    with TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        read_comment(file)  # type: ignore[arg-type] # what TemporaryFile gives is one


_KEY = "0" * 32
_LINE = (
    f'{{"format":1,"prompt":"a","stages":{{"decode":{{"code":"{_KEY}","components":{{"vae":"{_KEY}"}},"key":"{_KEY}",'
    '"parameters":{"dtype":"float32"}}}}'
)
_MP4 = (
    b"\0\0\0\x08ftyp\0\0\0\x3dmoov\0\0\0\x35udta\0\0\0\x2dmeta\0\0\0\0\0\0\0\x21ilst\0\0\0\x19\xa9cmt"
    b"\0\0\0\x11data\0\0\0\1\0\0\0\0{"
)
READERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {  # and a text that is right
    "toml": (lambda data: parse_toml(data.decode()), b'[encode]\nprompt = "x"\na.b = [1, 2.5, {c = 0xff}]\n'),
    "json": (lambda data: parse_json(decode_json(data)), b'{"a": [1, 2.5e3, null, "\\u00e9"]}'),
    "manifest": (lambda data: Manifest.from_json(data.decode()), MANIFEST.to_json().encode()),
    "header": (_header, b'\x38\0\0\0\0\0\0\0{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  \0\0\0\0'),
    "mp4": (_mp4, _MP4),
    "line": (lambda data: parse_line(data.decode()), _LINE.encode()),
    "index": (lambda data: parse_index(data, "index"), b'{"weight_map": {"a": "model.safetensors"}}'),
    "listing": (lambda data: from_json(data.decode()), b'{"format": 1, "files": {"a/b": ["%s", 1]}}' % (b"a" * 40)),
}


def main() -> None:
    name, seconds, folder = sys.argv[1:]
    read, seed = READERS[name]
    (Path(folder) / "seed").write_bytes(seed)

    def test(data: bytes) -> None:
        with suppress(ValueError, CheckpointError):
            read(data)

    limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048"]
    options = [*limits, f"-artifact_prefix={folder}/", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, folder], test)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
