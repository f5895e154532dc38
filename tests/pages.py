"""The pages for readers, taken apart: blocks of code, command lines, headings.

Decisions are not among them: they may name what was rejected, or has gone since.
"""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from tests.project import PROJECT

_READERS = ("README.md", "README.zh-CN.md", "docs/*.md", "docs/stages/*.md")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(doit(?: [^`]*)?)`")
_COMMAND = re.compile(r"(?:^|[;&] ?|until )doit(?= |$)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ENDS_COMMAND = frozenset({";", "&&", "||", "|", "&"})
_BEFORE_COMMAND = frozenset({"until", "do", "if"})


class Block(NamedTuple):
    """A block of code: what follows the fence, "" for none, and its lines."""

    language: str
    text: str


class Line(NamedTuple):
    """A command of doit, as words behind `doit`, and the page that has it."""

    page: str
    words: tuple[str, ...]


def reader_pages() -> dict[str, str]:
    """The text of each page, by its path within the project."""
    paths = [path for pattern in _READERS for path in sorted(PROJECT.glob(pattern))]
    return {path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def blocks(text: str) -> list[Block]:
    """The blocks of code of a page, in their order."""
    return [
        Block(language, re.sub(rf"^{indent}", "", body, flags=re.M)) for indent, language, body in _FENCE.findall(text)
    ]


def section(text: str, heading: str) -> str:
    """What stands below a heading of the second level."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def anchors(text: str) -> set[str]:
    """How links within GitHub name the headings of a page."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def typed_lines(block: Block) -> list[str]:
    """What is typed in a block: lines behind `$`; without any, all of them."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines


def doit_lines(page: str, text: str) -> Iterator[Line]:
    """All commands of doit that a page shows: in blocks without a language, and between backticks."""
    shown = [line for block in blocks(text) if not block.language for line in typed_lines(block)]
    for line in [*filter(_COMMAND.search, shown), *_INLINE.findall(text)]:
        for words in _commands(line):
            if words[0] == "doit":
                yield Line(page, tuple(words[1:]))


def _commands(line: str) -> Iterator[list[str]]:
    """The commands of a line of a shell, as words, without comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in _ENDS_COMMAND:
            if words:
                yield words
            words = []
        elif words or word not in _BEFORE_COMMAND:
            words.append(word)
