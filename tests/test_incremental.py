"""Exactly what changed runs again: random histories of a project, against the rules written once more in plain words.

The project is that of edited_project.py: all but the stages' processes is real.
"""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.edited_project import EDITS, Project


@settings(max_examples=10, deadline=None)
@given(history=st.lists(st.lists(EDITS, max_size=2), min_size=2, max_size=8))
def test_after_any_edits_a_run_makes_what_had_to_be_made_and_a_second_one_nothing(
    history: list[list[Callable[[Project], None]]], tmp_path_factory: pytest.TempPathFactory
):
    project = Project(tmp_path_factory.mktemp("project"))
    for edits in history:
        for edit in edits:
            edit(project)
        assert project.run_build() == project.run_rules()
    assert project.run_build() == []
