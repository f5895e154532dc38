"""Bytes and times as people write and read them."""

import pytest

from stages.store.quantities import Limit, parse_limit, show_bytes, show_seconds


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("50GB", Limit(size_bytes=50 * 10**9)),
        ("1.5 GB", Limit(size_bytes=1_500_000_000)),
        ("500mb", Limit(size_bytes=500 * 10**6)),
        ("7kB", Limit(size_bytes=7000)),
        ("20GiB", Limit(size_bytes=20 * 2**30)),
        ("2TiB", Limit(size_bytes=2 * 2**40)),
        ("8B", Limit(size_bytes=8)),
        ("0", Limit(size_bytes=0)),
        ("12h", Limit(age_s=12 * 3600.0)),
        ("30d", Limit(age_s=30 * 86_400.0)),
        (" 8w ", Limit(age_s=8 * 7 * 86_400.0)),
        ("0d", Limit(age_s=0.0)),
    ],
)
def test_a_limit_is_a_size_an_age_or_nothing(text: str, limit: Limit):
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text",
    ["", "50", "-1GB", "GB", "50 G B", "50GBB", "1e3GB", "nan", "infd", "30m", "5" * 5000, "5" * 5000 + "XX", "1\0GB"],
)
def test_what_is_no_limit_is_refused_with_what_one_looks_like(text: str):
    with pytest.raises(ValueError, match=r"^must be a size such as 50GB, .* an age such as 12h, 30d or 8w, or 0 for"):
        parse_limit(text)


@pytest.mark.parametrize(
    "text", ["1000000000000d", "99999999999999999999999999d", "5" * 5000 + "GB", "9" * 13 + ".5 w"]
)
def test_a_limit_that_is_too_large_is_called_so(text: str):
    with pytest.raises(ValueError, match=r"^is too large: the number may have 12 digits$"):
        parse_limit(text)


def test_the_largest_limit_may_have_any_number_of_decimals():
    assert parse_limit("999999999999.00000000000d") == Limit(age_s=999_999_999_999 * 86_400.0)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (12_345, "12.3 kB"),
        (1_327_104_000, "1.33 GB"),
        (123_456_789, "123 MB"),
        (2 * 10**12, "2.00 TB"),
    ],
)
def test_bytes_have_three_digits_and_a_unit(size_bytes: int, text: str):
    assert show_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (3.14, "3.1 s"),
        (59.0, "59 s"),
        (61.0, "1 min 1 s"),
        (120.0, "2 min"),
        (3661.0, "1 h 1 min"),
        (90_000.0, "1 d 1 h"),
    ],
)
def test_seconds_have_their_two_largest_units(seconds: float, text: str):
    assert show_seconds(seconds) == text


def test_a_limit_reads_as_what_stays():
    assert str(parse_limit("50GB")) == "50.0 GB"
    assert str(parse_limit("30d")) == "what was used within 30 d"
