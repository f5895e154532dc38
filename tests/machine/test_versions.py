"""Versions of what is installed."""

import doit

from stages.machine.versions import versions_of


def test_what_is_installed_has_its_version_and_the_rest_has_none():
    found = versions_of(["doit", "no-such-distribution"])
    assert found == {"doit": ".".join(map(str, doit.__version__[:3])), "no-such-distribution": ""}
