"""Any text on any console, in processes of their own: an encoding is chosen when Python starts."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from stages.run.text_streams import accept_any_text, from_command_line
from tests.project import copy_project, environment, list_made

TEXT = "一只猫 😀 שלום é \udcff"  # the last is what Python makes of a byte in a file's name that is no UTF-8
ENCODINGS = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "strict cp1252": {"PYTHONIOENCODING": "cp1252:strict"},
    "ASCII": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "UTF-8": {"PYTHONIOENCODING": "utf-8:strict"},
}
SHOWN = f"""
import sys, time
from rich.console import Console
from stages.keys import Node
from stages.run.display import Display
from stages.run.text_streams import accept_any_text
accept_any_text()
text = {TEXT!a}
display = Display(Console())
with display.show(Node("encode", {{}}, {{}}, {{}}), ("demo",), text) as view:
    view({{"event": "progress", "done": 1, "total": 2, "unit": text}})
    time.sleep(sys.stdout.isatty() and 1)  # on a terminal it is drawn twice a second
    view({{"event": "warning", "message": text}})
display.close()
print(text, file=sys.stderr)
"""
pytestmark = pytest.mark.processes


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in environment().items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_warning_can_be_any_text_whatever_the_encoding(encoding: str):
    variables = clean_environment() | ENCODINGS[encoding]
    shown = subprocess.run([sys.executable, "-c", SHOWN], env=variables, capture_output=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert b"Traceback" not in shown.stderr
    assert shown.stdout.count(b"\n") >= 2
    assert (b"\\u732b" in shown.stdout) == (b"\\u732b" in shown.stderr) == (encoding != "UTF-8")
    assert ("猫".encode() in shown.stdout) == ("猫".encode() in shown.stderr) == (encoding == "UTF-8")
    # Half of a surrogate pair is no character: the screen shows that there is something, an error message what.
    assert ("\ufffd".encode() if encoding == "UTF-8" else b"\\ufffd") in shown.stdout
    assert b"\\udcff" in shown.stderr


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bar_is_drawn_on_a_terminal_of_any_encoding(encoding: str):
    variables = clean_environment() | ENCODINGS[encoding] | {"TERM": "xterm", "COLUMNS": "200"}
    terminal, other_end = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", SHOWN], env=variables, stdout=other_end, stderr=other_end) as process:
        os.close(other_end)
        drawn = b""
        while piece := _read(terminal):
            drawn += piece
    os.close(terminal)
    assert process.returncode == 0, drawn
    assert b"Traceback" not in drawn
    assert "encode:" in drawn.decode("latin-1")
    assert ("━━━━━━──────".encode() in drawn) == (encoding == "UTF-8")
    assert (b"======------" in drawn) == (encoding != "UTF-8")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_an_encode_whose_warning_the_console_cannot_show_is_made(tmp_path: Path):
    root = copy_project(tmp_path)
    prompt = f"encode.prompt={'猫😀 ' * 400}"
    command = [sys.executable, "-m", "doit", "encode", prompt]
    made = subprocess.run(
        command, cwd=root, env=clean_environment() | ENCODINGS["latin-1"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warning: the prompt has " in made.stdout
    assert "\\u732b" in made.stdout
    assert len(list_made(made)) == 1


def test_where_a_test_or_a_notebook_has_replaced_stdout_nothing_is_changed(capsys: pytest.CaptureFixture[str]):
    accept_any_text()
    print("猫")
    assert capsys.readouterr().out == "猫\n"


def test_an_argument_in_a_locale_without_its_characters_is_the_text_that_was_typed():
    command = [sys.executable, "-c", "import sys; from stages.run.text_streams import *; "
               "print(ascii(from_command_line(sys.argv[1])))"]  # fmt: skip
    for typed, shown in (("猫é", "'\\u732b\\xe9'"), ("plain", "'plain'"), (b"\xff", "'\\udcff'")):
        printed = subprocess.run(
            [*command, typed], env=clean_environment() | ENCODINGS["ASCII"], capture_output=True, text=True, check=True
        )
        assert printed.stdout.strip() == shown


@pytest.mark.parametrize("text", ["plain", "猫 é", "\ud800", "é\udcff"])
def test_other_text_stays_what_it_is(text: str):
    assert from_command_line(text) == text


def run_unread(program: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program whose stdout nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, *arguments, "-c", program] if program else [sys.executable, *arguments],
            cwd=cwd,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize("num_chars", [1, 1_000_000], ids=["written at the end", "written at once"])
def test_a_process_whose_output_nobody_reads_ends_without_a_word_where_errors_would_be_printed(num_chars: int):
    done = run_unread(f"""
import traceback
from stages.run.text_streams import end_when_nobody_reads
end_when_nobody_reads()
try:
    print("x" * {num_chars})
except OSError:
    traceback.print_exc()
""")
    assert (done.returncode, done.stderr) == (1, "")


def test_another_pipe_that_nobody_reads_is_an_error_as_ever():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            """
import os
from stages.run.text_streams import end_when_nobody_reads
end_when_nobody_reads()
reader, writer = os.pipe()
os.close(reader)
try:
    os.write(writer, b"x")
except BrokenPipeError:
    print("caught")
""",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "caught\n"


def test_doits_own_commands_end_without_a_word_when_nobody_reads(tmp_path: Path):
    copy_project(tmp_path)
    (tmp_path / "sub").mkdir()
    done = run_unread("", "-u", "-m", "doit", "-f", "../dodo.py", "list", "--all", cwd=tmp_path / "sub")
    assert done.returncode == 1
    assert done.stderr.startswith("note: these are doit's own commands")
    assert done.stderr.count("\n") == 1


def test_a_command_that_catches_no_error_of_stdout_ends_without_a_word_when_nobody_reads():
    done = run_unread("""
import sys
from doit.cmd_base import Command
from stages.commands.command_line import CommandLine
class Talk(CommandLine, Command):
    def execute(self, options, names):
        print("x" * 1_000_000)
sys.exit(Talk().parse_execute([]))
""")
    assert (done.returncode, done.stderr) == (1, "")


def test_a_command_that_catches_no_error_of_stdout_says_when_it_is_full():
    program = """
import sys
from doit.cmd_base import Command
from stages.commands.command_line import CommandLine
class Talk(CommandLine, Command):
    def execute(self, options, names):
        print("x" * 1_000_000)
sys.exit(Talk().parse_execute([]))
"""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == (
        "what is printed cannot be written (No space left on device). Send it to a file with room, or to /dev/null.\n"
    )
