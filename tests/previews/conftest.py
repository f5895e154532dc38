"""For all tests of this folder: torch on one thread."""

from tests.threads import one_thread  # noqa: F401 (pytest finds it here)
