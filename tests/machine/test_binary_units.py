"""Sizes in GiB and MiB."""

from stages.machine.binary_units import GIB, MIB, show_binary, show_gib


def test_sizes_are_told_in_units_of_their_size():
    assert [show_binary(size) for size in (MIB // 2, GIB - MIB, 3 * GIB // 2)] == [
        "0.50 MiB",
        "1023.00 MiB",
        "1.50 GiB",
    ]
    assert show_binary(MIB // 2, mib_digits=1) == "0.5 MiB"


def test_memory_is_told_in_gib_however_little_it_is():
    assert [show_gib(size) for size in (0, GIB // 4, 31 * GIB)] == ["0.0 GiB", "0.2 GiB", "31.0 GiB"]
