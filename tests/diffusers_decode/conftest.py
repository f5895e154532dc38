"""For all tests of this folder: as for those of decode, whose JAX they use, and torch on one thread."""

from tests.decode.conftest import _no_silent_promotion  # noqa: F401 (fixtures)
from tests.threads import one_thread  # noqa: F401 (likewise)
