"""Messages repeat no secret of an address."""

import pytest

from stages.machine.credentials import hide_credentials

SECRET = "S3cret/Key+1"  # noqa: S105


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"s3://user:{SECRET}@bucket/x", "s3://…@bucket/x"),
        (f"two: az://c/x?sig={SECRET} and s3://{SECRET}@b", "two: az://c/x?… and s3://…@b"),
        (f"gs://bucket/x#{SECRET}", "gs://bucket/x?…"),
        (f"s3://user:a/{SECRET}@bucket", "s3://…@bucket"),
        (f"az://c/x?sig=a@{SECRET}", "az://…"),
        (f"s3://user:a?{SECRET}@b", "s3://…"),
        (f"s3://user:{SECRET} is none", "s3://… is none"),
        ("http://localhost:9000/x", "http://localhost:9000/x"),
        ("a prompt with an @ and a ?", "a prompt with an @ and a ?"),
        ("s3://bucket/x", "s3://bucket/x"),
    ],
)
def test_messages_show_no_credentials_of_an_address(text: str, shown: str):
    assert hide_credentials(text) == shown
