"""For all tests of this folder: as for those of decode, whose JAX they use."""

from tests.decode.conftest import _no_silent_promotion, _quick_compiler  # noqa: F401 (fixtures)
