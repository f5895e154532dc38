"""Text of TOML files, as editors of different systems write it."""

import tomllib
from pathlib import Path

import pytest

from stages.pipeline.toml_text import read_toml_text

CONTENT = '[encode]\nprompt = "猫\té"\n\n[denoise]\n\tseed\t=\t7\n'
MEANS = {"encode": {"prompt": "猫\té"}, "denoise": {"seed": 7}}


def write(folder: Path, content: bytes) -> Path:
    path = folder / "demo.toml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_byte_order_mark_line_breaks_and_tabs_change_nothing(tmp_path: Path, mark: str, line_break: str):
    path = write(tmp_path, (mark + CONTENT.replace("\n", line_break)).encode())
    assert tomllib.loads(read_toml_text(path)) == MEANS


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\r\n"])
def test_an_empty_file_is_an_empty_text(tmp_path: Path, content: bytes):
    assert tomllib.loads(read_toml_text(write(tmp_path, content))) == {}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_named_as_such(tmp_path: Path, encoding: str):
    with pytest.raises(ValueError, match=r"^the file is UTF-16, and TOML is UTF-8\. Save it as UTF-8 in the editor$"):
        read_toml_text(write(tmp_path, CONTENT.encode(encoding)))


@pytest.mark.parametrize(
    ("content", "line", "byte"), [(b"# \xe9", 1, "0xe9"), ("\n\nx = '中'".encode("gbk"), 3, "0xd6")]
)
def test_bytes_that_are_no_utf_8_are_named_with_their_line(tmp_path: Path, content: bytes, line: int, byte: str):
    with pytest.raises(ValueError, match=r"in the editor$") as caught:
        read_toml_text(write(tmp_path, content))
    assert str(caught.value) == (
        f"line {line} has a byte that is not UTF-8, {byte}. Save the file as UTF-8 in the editor"
    )
