"""Addresses of remote stores: what is one, and that none with a secret in it is taken or shown."""

import pytest

from stages.remote.address import Address, read_address

SECRET = "hunter2-must-appear-nowhere"  # noqa: S105


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket/team/videos", Address("s3", "bucket", "team/videos")),
        ("s3://bucket/", Address("s3", "bucket", "")),
        ("gs://b.example.org/x", Address("gs", "b.example.org", "x")),
        ("az://container", Address("az", "container", "")),
        ("file:///mnt/shared/", Address("file", "", "/mnt/shared")),
        ("file:///mnt/my videos", Address("file", "", "/mnt/my videos")),
        ("file:///mnt/me@work", Address("file", "", "/mnt/me@work")),
    ],
)
def test_an_address_is_a_bucket_with_a_path_or_a_folder(text: str, address: Address):
    assert read_address(text) == address
    assert read_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        f"s3://user:{SECRET}@bucket/x",
        f"s3://{SECRET}@bucket",
        f"az://container/x?sv=2024&sig={SECRET}",
        f"gs://bucket/x#{SECRET}",
        f"file://user:{SECRET}@host/share",
        f"s3://user:a/{SECRET}@bucket",
        f"s3://a/{SECRET}@bucket",
        f"s3://user:{SECRET}",
        f"file://user:a/{SECRET}@host/share",
    ],
)
def test_an_address_with_a_user_a_password_or_a_query_is_refused_and_not_repeated(text: str):
    with pytest.raises(ValueError, match="has a user, a password or a query in it") as error:
        read_address(text)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bucket/x", "must be a bucket or a folder: s3://, gs://, az://, file://."),
        ("http://host/x", "must be a bucket or a folder: s3://, gs://, az://, file://."),
        ("s3:///x", "must name a bucket: s3://bucket/prefix."),
        ("file://shared/x", "must name a folder from the root on: file:///mnt/shared."),
        ("file:///", "must name a folder from the root on: file:///mnt/shared."),
        ("s3://bucket/a//b", "has a path that cannot be one of objects: /a//b."),
        ("s3://bucket/../x", "has a path that cannot be one of objects: /../x."),
    ],
)
def test_what_is_no_address_is_refused_with_what_one_looks_like(text: str, message: str):
    with pytest.raises(ValueError, match=r"\w") as error:
        read_address(text)
    assert str(error.value) == message
