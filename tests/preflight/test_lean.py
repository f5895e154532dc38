"""What the process that compiles leaves out of its libraries. What that brings is tested in tests/denoise."""

from stages.denoise.lean import LEAN as DENOISE
from stages.preflight.lean import LEAN


def test_a_step_is_compiled_with_as_little_of_the_libraries_as_it_is_run_with():
    assert LEAN == DENOISE
