"""The pages name what exists: paths, Python files, modules, links. CHANGELOG.md, which says what was, is not read.

A name with `<`, `*` or `{` in it stands for several things, as `stages/<stage>/edge.py` does, and is not looked up.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from stages.commands.announcement import announce_sweeps
from tests.pages import anchors, blocks, reader_pages, section
from tests.project import PROJECT, copy_project, run_doit
from tests.run.fakes import fake_build

PAGES = ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/**/*.md", "stages/**/README.md")
ROOTS = "stages|tests|benchmarks|training|docs"
# Names stand by themselves, not within a longer one. They include placeholders, by which they are recognised.
PATH = re.compile(rf"(?<![\w./-])(?:{ROOTS})/[\w./*<>{{}}-]*")
MODULE = re.compile(r"(?<![\w./-])(?:stages|tests|benchmarks|training)(?:\.(?:\w+|<\w+>))+")
FILE = re.compile(r"(?<![\w./<>*-])\w+\.py\b")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACEHOLDERS = set("<*{")
MAX_LINES = 150


def find_pages(root: Path) -> list[Path]:
    return [path for pattern in PAGES for path in sorted(root.glob(pattern))]


def find_named(root: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    """Each name that the pages use, unless it has a placeholder, behind its page."""
    for page in find_pages(root):
        for name in pattern.findall(page.read_text(encoding="utf-8")):
            if not PLACEHOLDERS & set(name):
                yield page, name.rstrip(".")


def missing_paths(root: Path) -> list[str]:
    named = find_named(root, PATH)
    return [f"{page.relative_to(root)}: {path}" for page, path in named if not (root / path).exists()]


def missing_files(root: Path) -> list[str]:
    """Python files that are named without a folder and are in none."""
    paths = [*root.glob("*.py"), *(path for top in ROOTS.split("|") for path in (root / top).rglob("*.py"))]
    known = {path.name for path in paths}
    return [f"{page.relative_to(root)}: {name}" for page, name in find_named(root, FILE) if name not in known]


def missing_modules(root: Path) -> list[str]:
    """Dotted names that are neither a module nor what one defines."""
    named = find_named(root, MODULE)
    return [f"{page.relative_to(root)}: {name}" for page, name in named if not is_defined(root, name)]


def missing_links(root: Path) -> list[str]:
    """Relative links that lead nowhere."""
    found = [(page, link.partition("#")[0]) for page, link in find_named(root, LINK) if ":" not in link]
    return [f"{page.relative_to(root)}: {link}" for page, link in found if not (page.parent / link).exists()]


def missing_anchors(root: Path) -> list[str]:
    """Links to a heading that its page does not have."""
    missing = []
    for page, link in find_named(root, LINK):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if ":" not in link and anchor and target.is_file() and anchor not in anchors(target.read_text("utf-8")):
            missing.append(f"{page.relative_to(root)}: {link}")
    return missing


def pages_off_the_index(root: Path) -> list[str]:
    decisions = root / "docs/decisions"
    index = (decisions / "README.md").read_text(encoding="utf-8")
    return [path.name for path in sorted(decisions.glob("[0-9]*.md")) if f"]({path.name})" not in index]


def layers_held(root: Path) -> list[str]:
    """Import-linter's layers, a line for each, from the top."""
    tools = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (stack,) = [each["layers"] for each in tools["importlinter"]["contracts"] if each["type"] == "layers"]
    return [", ".join(re.findall(r"stages\.(\w+)", layer)) for layer in stack]


def layers_shown(root: Path) -> list[str]:
    """Those of CONTRIBUTING.md: its last block of code."""
    return (root / "CONTRIBUTING.md").read_text(encoding="utf-8").split("```")[-2].split("\n")[1:-1]


def is_defined(root: Path, name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        base = root.joinpath(*parts[:length])
        if base.is_dir() or base.with_suffix(".py").is_file():
            source = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
            rest = parts[length:]
            return not rest or (len(rest) <= 2 and source.is_file() and rest[0] in top_level_names(source))
    return False


def top_level_names(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
    return names


def test_every_path_that_a_page_names_exists():
    assert missing_paths(PROJECT) == []


def test_every_python_file_that_a_page_names_without_its_folder_exists():
    assert missing_files(PROJECT) == []


def test_every_module_that_a_page_names_exists():
    assert missing_modules(PROJECT) == []


def test_every_relative_link_leads_somewhere():
    assert missing_links(PROJECT) == []


def test_every_link_to_a_heading_leads_to_one():
    assert missing_anchors(PROJECT) == []


def test_every_decision_is_in_the_index():
    assert pages_off_the_index(PROJECT) == []


def test_every_page_for_readers_is_in_the_index_of_all():
    """Decisions have one of their own, which is in it."""
    index = (PROJECT / "docs/README.md").read_text(encoding="utf-8")
    listed = {(PROJECT / "docs" / link).resolve() for link in LINK.findall(index)}
    pages = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("docs/stages/*.md")]
    pages += PROJECT.glob("benchmarks/results/*.md")
    pages += [*PROJECT.glob("stages/models/**/README.md"), PROJECT / "docs/decisions/README.md"]
    missing = {page.resolve() for page in pages} - listed
    assert missing == {(PROJECT / "docs/README.md").resolve()}


def test_the_layers_that_contributors_read_are_those_that_are_held():
    assert layers_shown(PROJECT) == layers_held(PROJECT)


@pytest.mark.parametrize(("page", "heading"), [("README.md", "Six videos, compared"), ("docs/videos.md", "Sweeps")])
def test_the_sweep_that_readers_see_is_listed_and_counted_as_they_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, heading: str
):
    text, shown, *_ = (block.text for block in blocks(section(reader_pages()[page], heading)))
    file = copy_project(tmp_path) / text.splitlines()[0].removeprefix("# ")
    file.write_text(text, encoding="utf-8")
    _, listed, counted = re.split(r"\$ .*\n", shown)
    assert run_doit(tmp_path, "list", file.stem).stdout == listed
    monkeypatch.chdir(tmp_path)  # where the fake store has its folder
    build, _, _ = fake_build(tmp_path, {})
    videos = build.graph.sweeps[file.stem]
    said: list[str] = []
    names = [*(node.title for video in videos for node in build.graph.videos[video].values()), *videos]
    build.check(names, build.demand(), partial(announce_sweeps, build, said.append))
    assert said == [counted.rstrip("\n")]


def test_the_first_page_fits_its_readers():
    """What is longer belongs on a page of its own."""
    assert len(reader_pages()["README.md"].splitlines()) <= MAX_LINES


COMMENT = re.compile(r" *#.*$", re.MULTILINE)


def uncommented(page: str) -> list[str]:
    """Blocks of code without what is behind `#` at the end of a line or on one of its own."""
    return [COMMENT.sub("", block.text) for block in blocks(reader_pages()[page])]


def test_the_chinese_front_page_has_the_commands_and_files_of_the_english_one():
    assert uncommented("README.zh-CN.md") == uncommented("README.md")


def test_the_chinese_front_page_leads_where_the_english_one_does():
    chinese, english = (set(LINK.findall(reader_pages()[page])) for page in ("README.zh-CN.md", "README.md"))
    assert chinese - {"README.md"} == english - {"README.zh-CN.md"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project whose pages are true."""
    files = {
        "stages/run/job.py": "JOIN = 'join'\n\nclass Job:\n    number = 1\n",
        "docs/decisions/0001-a.md": "# Choice\n`stages/run/`, `job.py`, `stages/<a>/b.py`, `stages.run.job.Job.number`",
        "docs/decisions/README.md": "[0001](0001-a.md)",
        "README.md": "[why](docs/decisions/0001-a.md#choice) https://a.org/docs/b.md `python -m stages.<stage>`",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("find", "text", "fault"),
    [
        (missing_paths, "See stages/run/gone.py.", "README.md: stages/run/gone.py"),
        (missing_files, "See `gone.py`.", "README.md: gone.py"),
        (missing_modules, "`python -m stages.gone`", "README.md: stages.gone"),
        (missing_modules, "See `stages.run.job.gone`.", "README.md: stages.run.job.gone"),
        (missing_links, "[why](docs/gone.md)", "README.md: docs/gone.md"),
        (missing_anchors, "[why](docs/decisions/0001-a.md#gone)", "README.md: docs/decisions/0001-a.md#gone"),
        (missing_anchors, "[why](#gone)", "README.md: #gone"),
    ],
)
def test_a_planted_fault_is_found(project: Path, find: Callable[[Path], list[str]], text: str, fault: str):
    assert find(project) == []
    with (project / "README.md").open("a") as page:
        page.write(f"\n{text}\n")
    assert find(project) == [fault]


def test_a_decision_that_the_index_lacks_is_found(project: Path):
    assert pages_off_the_index(project) == []
    (project / "docs/decisions/0002-b.md").write_text("")
    assert pages_off_the_index(project) == ["0002-b.md"]


def test_a_layer_that_contributors_do_not_read_is_found(project: Path):
    contract = (
        '[[tool.importlinter.contracts]]\ntype = "layers"\nlayers = ["stages.a | stages.b", "stages.c : stages.d"]\n'
    )
    (project / "pyproject.toml").write_text(contract)
    (project / "CONTRIBUTING.md").write_text("The stack:\n\n```\na, b\nc\n```\n")
    assert (layers_held(project), layers_shown(project)) == (["a, b", "c, d"], ["a, b", "c"])
