"""diffusers' decoders are checked by the same rules as the native one."""

from stages.decode import checks as native
from stages.diffusers_decode import checks


def test_the_rules_are_those_of_the_native_decoder():
    assert checks.find_faults is native.find_faults
