"""What a node reads is there before it is made, or a message says how to make it."""

from pathlib import Path

import pytest

from stages.errors import StageError
from stages.run.needed_inputs import require_inputs
from tests.project import copy_params
from tests.run.fakes import fake_build


def test_what_was_never_made_is_named_with_the_command_that_makes_it(tmp_path: Path):
    build, store, _ = fake_build(copy_params(tmp_path), {})
    nodes = build.graph.videos["demo"]
    encode, denoise = nodes["encode"], nodes["denoise"]
    with pytest.raises(StageError) as refused:
        require_inputs(build, denoise)
    assert str(refused.value) == (
        f"{denoise.title} reads {encode.title}, which has not been made. Make it first: `doit {encode.title}`"
    )
    require_inputs(build, denoise, but=("absent",))
    store.fresh.add(encode.artifact)
    require_inputs(build, denoise)
