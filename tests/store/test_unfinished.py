"""Names of what is not yet in its place."""

from pathlib import Path

import pytest

from stages.store.unfinished import is_unfinished, name_unfinished


@pytest.mark.parametrize("name", ["file.json", ".file.json", "partial"])
def test_a_name_is_known_again_and_stands_beside_the_final_one(name: str):
    path = name_unfinished(Path("store") / name)
    assert is_unfinished(path.name)
    assert path.parent == Path("store")
    assert path != name_unfinished(Path("store") / name)


@pytest.mark.parametrize(
    "name", ["file-0123456789abcdef", ".file-0123456789abcde", ".file-0123456789abcdeF", ".0123456789abcdef", ".file"]
)
def test_other_names_are_somebodys_own(name: str):
    assert not is_unfinished(name)
