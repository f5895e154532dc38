"""What tests of the remote store share: an S3 that this process finds."""

import pytest

from tests.remote.s3 import point_to


@pytest.fixture
def s3(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """An S3 that this process and its children find; its port."""
    point_to(monkeypatch, s3_port)
    return s3_port
