"""Commands, options, videos and parameters that the pages for readers name are there."""

import getopt
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from stages.errors import ParamsError
from stages.pipeline.stages import Pipeline, read_pipeline
from stages.request.draft import DRAFT_SUFFIX
from stages.request.params import load_params, tables_of_video
from stages.request.tables import MachineParams
from tests.commands.doit_here import PLUGINS
from tests.pages import Line, blocks, doit_lines, reader_pages
from tests.project import PROJECT, copy_params

PLACEHOLDER = re.compile(r"[<…*]|\.\.\.|^[A-Z]{2,}$")
PARAMETER = re.compile(r"(?<![\w./-])([a-z_]+\.[a-z_]+(?:\.[a-z_0-9]+)?)")
VIDEO_FILE = re.compile(r"params/videos/([a-z0-9_-]+)\.toml")
OF_NO_USE_HERE = {"dumpdb", "reset-dep", "strace"}  # doit's own, of its database and of shell commands
FILES = (".md", ".py", ".safetensors")  # whose names look like a parameter's
WRONG_ON_PURPOSE = {"denoise.sed"}  # what a message corrects
OWN_STAGE = {"brighten", "brighten.gain"}  # of docs/own-stages.md, whose blocks tests/test_own_stage.py runs
OTHER_KEYS = {"sweep": {"zip", "skip"}}
# Commands whose words without an option are tasks or videos.
TAKES_TASKS = {
    "run",
    "draft",
    "explain",
    "info",
    "forget",
    "clean",
    "ignore",
    "stop",
    "verify",
    "preflight",
    "unpin",
    "pin",
}


@cache
def doit_main() -> DoitMain:
    return DoitMain(ModuleTaskLoader({}), extra_config={"COMMAND": PLUGINS["command"]}, config_filenames=())


@cache
def parser_of(name: str) -> Any:
    main = doit_main()
    commands = main.get_cmds()
    kind = commands.get_plugin(name)
    return kind(task_loader=main.task_loader, config=main.config, bin_name="doit", cmds=commands, opt_vals={}).cmdparser


@cache
def pipeline() -> Pipeline:
    return read_pipeline(PROJECT)


@cache
def doit_lines_of_all() -> tuple[Line, ...]:
    return tuple(line for page, text in reader_pages().items() for line in doit_lines(page, text))


@cache
def parameters() -> frozenset[str]:
    """Dotted names of all parameters."""
    tables: Mapping[str, Any] = {**tables_of_video(pipeline()), "machine": MachineParams}
    return frozenset(f"{table}.{name}" for table, kind in tables.items() for name in kind.model_fields)


@cache
def videos() -> frozenset[str]:
    """Those of the project, and those whose files the pages show or have written."""
    text = "\n".join(reader_pages().values())
    written = re.findall(r"--as ([\w-]+)|doit keep [\w-]+=([\w-]+)", text)
    return frozenset(
        {"demo", "harbour", *VIDEO_FILE.findall(text), *(name for pair in written for name in pair if name)}
    )


def split(line: Line) -> tuple[str, list[str]]:
    """The command of a line, and the rest of its words."""
    first = next((word for word in line.words if not word.startswith("-")), "")
    if first in doit_main().get_cmds() and line.words[0] == first:
        return first, list(line.words[1:])
    return "run", list(line.words)


def faults_of(line: Line) -> Iterator[str]:
    name, words = split(line)
    parser = parser_of(name)
    try:
        _, rest = getopt.gnu_getopt(words, parser.get_short(), parser.get_long())
    except getopt.GetoptError as error:
        yield f"{line.page}: doit {' '.join(line.words)}: {error}"
        return
    for word in rest:
        if PLACEHOLDER.search(word):
            continue
        parameter, is_set, _ = word.partition("=")
        if is_set and "." in parameter and parameter not in parameters() | WRONG_ON_PURPOSE | OWN_STAGE:
            yield f"{line.page}: doit {' '.join(line.words)}: no parameter {parameter}"
        if not is_set and name in TAKES_TASKS and not is_task(word):
            yield f"{line.page}: doit {' '.join(line.words)}: no task {word}"


def is_task(word: str) -> bool:
    name = word.partition(":")[0].removesuffix(DRAFT_SUFFIX)
    return name in {*pipeline().names, *videos(), *OWN_STAGE} or re.sub(r"-\d+$", "", name) in videos()


def set_names(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of what a file of TOML sets."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from set_names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def names_in_toml(text: str) -> Iterator[str]:
    """Parameters that the block of a video's file sets, sweeps and drafts among them."""
    table = tomllib.loads(text)
    for name in set_names(table):
        top, _, rest = name.partition(".")
        if rest not in OTHER_KEYS.get(top, ()):
            yield rest if top in ("sweep", "draft") else name
    for group in table.get("sweep", {}).get("zip", []):
        yield from group
    for combination in table.get("sweep", {}).get("skip", []):
        yield from combination


def blocks_of_videos() -> list[tuple[str, str]]:
    tables = {*tables_of_video(pipeline()), "sweep", "draft"}
    found = [
        (page, block.text)
        for page, text in reader_pages().items()
        for block in blocks(text)
        if block.language == "toml"
    ]
    return [(page, text) for page, text in found if tables & tomllib.loads(text).keys()]


def test_every_command_that_a_page_shows_is_there_with_its_options_its_tasks_and_its_parameters():
    assert len(doit_lines_of_all()) > 150
    assert [fault for line in doit_lines_of_all() for fault in faults_of(line)] == []


def test_every_command_is_on_a_page():
    shown = {split(line)[0] for line in doit_lines_of_all()}
    assert set(doit_main().get_cmds()) - shown == OF_NO_USE_HERE


def test_every_parameter_in_a_file_that_a_page_shows_is_there():
    shown = [(page, name) for page, text in blocks_of_videos() for name in names_in_toml(text)]
    assert len(shown) > 40
    assert [(page, name) for page, name in shown if name not in parameters()] == []


def test_every_video_file_that_a_page_shows_is_read_without_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    latents = tmp_path / "stage_outputs/stage2_latents.safetensors"
    latents.parent.mkdir()
    latents.touch()  # which is read when it is used
    shown = [text for _, text in blocks_of_videos() if VIDEO_FILE.search(text.splitlines()[0])]
    for number, text in enumerate(shown):
        (copy_params(tmp_path / str(number)) / "params/videos/shown.toml").write_text(text, encoding="utf-8")
    assert len(shown) > 10
    read = [load_params(tmp_path / str(number), {}, pipeline()) for number in range(len(shown))]
    assert [params.faults for params in read if params.faults] == []


def test_the_refusal_of_parameters_that_a_page_shows_is_what_is_printed(tmp_path: Path):
    (shown,) = [block.text for block in blocks(reader_pages()["docs/videos.md"]) if "ParamsError" in block.text]
    typed, _, printed = shown.partition("\n")
    overrides = dict(word.split("=") for word in typed.removeprefix("$ doit ").split())
    with pytest.raises(ParamsError) as refusal:
        load_params(copy_params(tmp_path), overrides, pipeline())
    assert f"ParamsError: {refusal.value}\n" == printed


def test_every_parameter_that_a_sentence_names_is_there():
    tables = {name.partition(".")[0] for name in parameters()}
    named = [(page, name) for page, text in reader_pages().items() for name in PARAMETER.findall(text)]
    known = parameters() | WRONG_ON_PURPOSE
    ours = [(page, name) for page, name in named if name.partition(".")[0] in tables and not name.endswith(FILES)]
    assert [
        (page, name) for page, name in ours if name not in known and ".".join(name.split(".")[:2]) not in known
    ] == []


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("gc --kep 50GB", "option --kep not recognized"),
        ("denoise.sead=7", "no parameter denoise.sead"),
        ("dmeo", "no task dmeo"),
        ("explan demo", "no task explan"),
        ("-x", "option -x not recognized"),
    ],
)
def test_a_planted_fault_is_found(words: str, fault: str):
    assert list(faults_of(Line("README.md", tuple(words.split())))) == [f"README.md: doit {words}: {fault}"]


def test_an_unknown_parameter_in_a_sweep_is_found():
    assert list(names_in_toml('[sweep]\n"denoise.sead" = [1]\nzip = [["a.b", "c.d"]]')) == [
        "denoise.sead",
        "a.b",
        "c.d",
    ]
