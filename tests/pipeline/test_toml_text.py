"""Text of TOML files, as editors of different systems write it."""

import os
import tomllib
from pathlib import Path

import pytest

from stages.pipeline.toml_text import parse_toml, read_toml_text

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


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = " + "[" * 5000, "nested too deep"),
        ("a = " + "{b = " * 5000, "nested too deep"),
        ("a = " + "9" * 5000, "it has a number of thousands of digits"),
        ("a." * 20_000 + "a = 1", "a name has more than 64 parts"),
        (f"[{'a . ' * 20_000}a]", "a name has more than 64 parts"),
        (f"x = {{{'a.' * 20_000}a = 1}}", "a name has more than 64 parts"),
        ('"a".' * 65 + "a = 1", "a name has more than 64 parts"),
        ("a =", "Invalid value (at end of document)"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_in_its_own_words(text: str, fault: str):
    with pytest.raises(ValueError, match=r"^") as caught:
        parse_toml(text)
    assert str(caught.value) == fault


@pytest.mark.parametrize("text", ["blurry. " * 100, "e.g. " * 10_000, "...." * 1000, "a.b." * 1000 + "a"])
def test_a_text_may_have_as_many_dots_as_it_likes(text: str):
    assert parse_toml(f'a = "{text}"\nb = """\n{text}"""') == {"a": text, "b": text}


def test_a_name_of_as_many_parts_as_are_allowed_is_read():
    assert parse_toml("a." * 63 + "a = 1")


@pytest.mark.parametrize("kind", ["FIFO", "device"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, kind: str):
    path = tmp_path / "demo.toml"
    if kind == "FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match=f"is a {kind}"):
        read_toml_text(path)
