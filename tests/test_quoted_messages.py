"""The messages that docs/troubleshooting.md quotes are those of the source, word for word.

A quotation is a block of the language `text`, or code in a table; `…` stands for what differs each time.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.pages import blocks, reader_pages
from tests.project import PROJECT

PAGE = "docs/troubleshooting.md"
KIND = re.compile(r"^\w+Error: ")
REASON = re.compile(r"^\| `([^`]+)` \| ", re.MULTILINE)  # first cell of the table of the hub's reasons
BETWEEN = re.compile(r"…|(?<=\.) ")
PUNCTUATION = " :.,;@"
LEAST = 3  # characters: what is shorter is punctuation between two values


@cache
def literals() -> str:
    """All text in the source that is neither documentation nor between braces, divided by zeros."""
    nodes = [
        node
        for path in sorted((PROJECT / "stages").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    documentation = {node.value for node in nodes if isinstance(node, ast.Expr)}
    return "\0".join(
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation
    )


@cache
def classes() -> frozenset[str]:
    tree = ast.parse((PROJECT / "stages/errors.py").read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.ClassDef))


def pieces_of(quotation: str) -> Iterator[str]:
    """What of a quotation has to be found: all between two values or two ends of sentences."""
    found = (piece.strip(PUNCTUATION) for piece in BETWEEN.split(KIND.sub("", quotation.strip())))
    yield from (piece for piece in found if len(piece) >= LEAST)


def is_in_source(piece: str) -> bool:
    """Whether it is one literal, or two, of which a message is made."""
    if piece in literals():
        return True
    words = piece.split(" ")
    halves = ((" ".join(words[:index]), " ".join(words[index:])) for index in range(1, len(words)))
    return any(all(half.strip(PUNCTUATION) in literals() for half in pair) for pair in halves)


def not_in_source(quotation: str) -> list[str]:
    kind = KIND.match(quotation.strip())
    unknown = [kind[0]] if kind and kind[0].removesuffix(": ") not in classes() else []
    return unknown + [piece for piece in pieces_of(quotation) if not is_in_source(piece)]


def quotations() -> list[str]:
    text = reader_pages()[PAGE]
    table = text.partition("The reason follows:")[2].partition("###")[0]
    shown = [" ".join(block.text.split()) for block in blocks(text) if block.language == "text"]  # which may be wrapped
    return shown + REASON.findall(table)


def test_every_quoted_message_is_in_the_source():
    assert len(quotations()) > 35
    assert [(quotation, gone) for quotation in quotations() if (gone := not_in_source(quotation))] == []


@pytest.mark.parametrize(
    ("quotation", "gone"),
    [
        ("StoreError: …: is on another disk than …", ["is on another disk than"]),
        ("StorageError: …: is on another file system than the drafts of …", ["StorageError: "]),
        ("…: is on another file system than the drafts of …", []),
        (
            "What is said when memory runs out: how much there is",
            ["What is said when memory runs out: how much there is"],
        ),
    ],
)
def test_a_planted_fault_is_found(quotation: str, gone: list[str]):
    assert [piece.removeprefix(": ") for piece in not_in_source(quotation)] == gone
