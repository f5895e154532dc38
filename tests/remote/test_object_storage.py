"""A bucket by the library, on an S3 of its own: one winner of a race, and one message for whatever goes wrong."""

import re
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from stages.errors import RemoteError
from stages.remote import object_storage
from stages.remote.address import read_address
from stages.remote.object_storage import ObjectStorage, open_bucket
from tests.remote.s3 import BUCKET, SECRET, failing_s3, list_requests, point_to

pytestmark = pytest.mark.processes
pytest.importorskip("obstore", reason="the extra `remote` is not installed")


def open_s3(prefix: str) -> ObjectStorage:
    return open_bucket(read_address(f"s3://{BUCKET}/{prefix}"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "_ANSWER_S", 1)
    monkeypatch.setattr(object_storage, "_MAX_RETRIES", 1)


@pytest.mark.usefixtures("s3")
def test_of_sixteen_who_put_one_object_one_does_and_its_bytes_are_there():
    bucket, barrier, won = open_s3("race"), threading.Barrier(16), list[int]()

    def put(number: int) -> None:
        barrier.wait(60)
        if bucket.put_new("object", b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=put, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert bucket.get("object") == b"%d" % won[0]


@pytest.mark.usefixtures("s3")
def test_objects_lie_below_the_prefix_of_the_address():
    open_s3("a/b").put("c/d", b"x")
    assert [each.name for each in open_s3("a").list("b")] == ["b/c/d"]
    assert [each.name for each in open_s3("a/b").list("c")] == ["c/d"]


def test_objects_are_listed_by_one_request(s3: int):
    bucket = open_s3("many")
    for number in range(3):
        bucket.put(f"x/{number}", b"")
    before = len(list_requests(s3))
    assert len([*bucket.list("x")]) == 3
    assert len(list_requests(s3)) - before == 1


@pytest.mark.usefixtures("s3")
def test_what_is_not_there_is_none_and_deleting_it_no_fault():
    bucket = open_s3("none")
    assert bucket.get("a") is None
    bucket.delete(["a"])


@pytest.mark.usefixtures("s3", "impatient")
def test_a_bucket_that_is_not_there_is_named():
    bucket = open_bucket(read_address("s3://no-such-bucket/x"))
    for ask in (lambda: [*bucket.list("a")], lambda: bucket.put("a", b"x")):
        with pytest.raises(RemoteError) as error:
            ask()
        assert str(error.value) == (
            "s3://no-such-bucket/x: there is no such bucket (404). Make it, or correct `remote` in params/machine.toml."
        )


REFUSED = "it refuses the credentials that were found, or what they may do (403)"
CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("server", "message"),
    [
        (
            lambda: failing_s3(403),
            f"{REFUSED}. {CREDENTIALS}",
        ),
        (lambda: failing_s3(401), f"it does not know the credentials (401). {CREDENTIALS}"),
        (lambda: failing_s3(500), "it answers with an error (500)"),
        (lambda: failing_s3(503), "it answers with an error (503)"),
        (lambda: failing_s3(301), "the bucket is in another region. Set AWS_REGION to that"),
        (lambda: failing_s3(delay_s=60), "it does not answer in time"),
        (lambda: failing_s3(is_cut=True), "it cannot be reached, or broke off"),
    ],
    ids=["403", "401", "500", "503", "301", "slow", "cut"],
)
def test_whatever_goes_wrong_is_one_message_without_a_secret(
    server: "type[AbstractContextManager[int]]", message: str, monkeypatch: pytest.MonkeyPatch
):
    with server() as port:
        point_to(monkeypatch, port)
        with pytest.raises(RemoteError) as error:
            [*open_s3("x").list("a")]
    assert str(error.value) == f"s3://{BUCKET}/x: {message}."
    assert SECRET not in str(error.value)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("bucket", ["acme-metadata", "oauth-videos"])
def test_what_goes_wrong_does_not_depend_on_how_the_bucket_is_called(bucket: str, monkeypatch: pytest.MonkeyPatch):
    with failing_s3(500) as port:
        point_to(monkeypatch, port)
        with pytest.raises(RemoteError) as error:
            [*open_bucket(read_address(f"s3://{bucket}/x")).list("a")]
    assert str(error.value) == f"s3://{bucket}/x: it answers with an error (500)."


@pytest.mark.parametrize(
    ("scheme", "text", "message"),
    [  # what obstore 0.12.1 says where nothing in the environment gives credentials, and the machine has no role
        (
            "s3",
            "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 7.9ms - Server returned "
            "non-2xx status code: 403 Forbidden: ",
            CREDENTIALS,
        ),
        (
            "gs",
            "Generic GCS error: Error performing token request: Error performing GET http://169.254.169.254/"
            "computeMetadata/v1/instance/service-accounts/default/token in 8.0ms - Server returned non-2xx status "
            "code: 403 Forbidden: ",
            "Set GOOGLE_APPLICATION_CREDENTIALS, log in by `gcloud auth application-default login`, or give the "
            "machine a service account",
        ),
        (
            "az",
            "Generic MicrosoftAzure error: Error performing token request: Error performing GET http://169.254.169.254/"
            "metadata/identity/oauth2/token in 25.9ms - Server returned non-2xx status code: 403 Forbidden: ",
            "Set AZURE_STORAGE_ACCOUNT_NAME and a key or token, or give the machine an identity",
        ),
    ],
)
def test_where_nothing_gives_credentials_it_is_said_how_each_cloud_is_given_them(scheme: str, text: str, message: str):
    explained = object_storage._explain(RuntimeError(text), read_address(f"{scheme}://bucket/x"))
    assert explained == f"there are no credentials for it. {message}"


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_of_the_credentials_is_one_message(missing: str, monkeypatch: pytest.MonkeyPatch):
    point_to(monkeypatch, 1)
    monkeypatch.delenv(missing)
    with pytest.raises(RemoteError) as error:
        open_bucket(read_address("s3://bucket/x"))
    assert str(error.value) == f"s3://bucket/x: what the environment says of it is wrong, or not all. {CREDENTIALS}."


@pytest.mark.usefixtures("impatient")
def test_objects_that_may_not_be_deleted_are_an_error_although_the_answer_is_none(monkeypatch: pytest.MonkeyPatch):
    error = f"<Error><Key>x/a</Key><Code>AccessDenied</Code><Message>{SECRET}</Message></Error>"
    with failing_s3(answer=f"<DeleteResult>{error}</DeleteResult>".encode()) as port:
        point_to(monkeypatch, port)
        with pytest.raises(RemoteError) as raised:
            open_s3("x").delete(["a"])
    assert str(raised.value) == f"s3://{BUCKET}/x: {REFUSED}. {CREDENTIALS}."


@pytest.mark.usefixtures("impatient")
def test_where_nobody_listens_it_cannot_be_reached(monkeypatch: pytest.MonkeyPatch):
    point_to(monkeypatch, 9)  # the port `discard`, which nothing here serves
    with pytest.raises(RemoteError) as error:
        open_s3("x").get("a")
    assert str(error.value) == f"s3://{BUCKET}/x: it cannot be reached, or broke off."


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(RemoteError) as error:
        open_bucket(read_address(f"file://{tmp_path}/shared"))
    assert str(error.value) == (
        f"file://{tmp_path}/shared: there is no such folder. Make it, or mount the disk that it lies on."
    )
    assert not (tmp_path / "shared").exists()


def test_a_folder_that_cannot_be_written_is_named_with_what_the_system_says(tmp_path: Path):
    (tmp_path / "a").touch()
    with pytest.raises(RemoteError, match=re.escape(f"file://{tmp_path}: cannot be used (Not a directory).")):
        open_bucket(read_address(f"file://{tmp_path}")).put("a/b", b"x")


def test_without_the_library_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(RemoteError) as error:
        open_bucket(read_address("s3://bucket/x"))
    assert str(error.value) == (
        "s3://bucket/x: needs obstore, which is not installed. Run `pip install 'hunyuan-stages[remote]'`, in a clone "
        "`pip install -e '.[remote]'`."
    )
