"""What is pushed: settings of the machine."""

import pytest

from stages.errors import ParamsError
from stages.keys import Digest
from stages.pipeline.stages import Pipeline
from stages.remote.policy import Policy, read_policy
from stages.store.manifest import Manifest
from tests.builders import CODE, build_node

PIPELINE = Pipeline()


def pushed(push: str, limit: str = "", size_bytes: int = 100) -> list[str]:
    """Stages whose payloads are pushed."""
    policy = read_policy("needed", push, limit, PIPELINE)
    return [
        stage
        for stage in PIPELINE.names
        if policy.is_pushed_whole(
            Manifest.of(build_node(stage), {}, code=CODE, payload="p", size_bytes=size_bytes, digest=Digest("d" * 32))
        )
    ]


@pytest.mark.parametrize(
    ("push", "stages"),
    [
        ("auto", ["encode", "denoise", "export"]),  # frames are large
        ("all", ["encode", "denoise", "decode", "export"]),
        ("never", []),
        ("denoise, export", ["denoise", "export"]),
        ("decode", ["decode"]),
    ],
)
def test_payloads_of_these_stages_are_pushed(push: str, stages: list[str]):
    assert pushed(push) == stages


def test_a_payload_above_the_limit_is_not_pushed():
    assert pushed("all", "100B") == [*PIPELINE.names]
    assert pushed("all", "99B") == []


def test_only_never_is_read_only():
    assert read_policy("needed", "never", "", PIPELINE).is_read_only
    assert not read_policy("needed", "auto", "", PIPELINE).is_read_only


def test_everything_is_taken_only_if_asked_for():
    assert read_policy("all", "auto", "", PIPELINE) == Policy(True, ("encode", "denoise", "export"))
    assert not read_policy("needed", "auto", "", PIPELINE).takes_all


def test_a_name_that_is_no_stage_is_refused():
    with pytest.raises(ParamsError) as error:
        read_policy("needed", "denoise, decoed", "", PIPELINE)
    assert str(error.value) == (
        'machine.remote_push = "denoise, decoed": decoed is no stage. There is: encode, denoise, decode, export; or '
        '"auto", "all", "never".'
    )
