"""A bucket by obstore, which knows S3, Google Cloud Storage, Azure and folders: the one module that loads it.

Its errors are long, and may repeat what a server says of who asks; none of their text is shown but a status.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from os import environ
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from stages.errors import RemoteError
from stages.remote.address import FOLDER, Address
from stages.remote.bucket import StoredObject

_CONNECT_S: Final = 5
_ANSWER_S: Final = 30  # until an answer begins, or goes on
_TRANSFER_S: Final = 600  # of one object; parts of 16 MiB, eight at a time, at 2 Mbit/s
_RETRY_S: Final = 45  # from a request's first attempt to its last
_MAX_RETRIES: Final = 4  # with backoff, a second or two in all where nobody answers
_PIECE_BYTES: Final = 1 << 20  # of an object that comes, so that it is seen how far it is
_STATUS: Final = re.compile(r"non-2xx status code: (\d{3})|status: (\d{3})")
_TIMED_OUT: Final = re.compile(r"\bkind: Timeout\b|\bTimedOut\b")  # in what the library shows of an error's sources
# Of what the library does when nothing else gives it any: it asks the machine's role, on S3 by its address alone. These
# words cannot be a bucket's name, which is in the text as well.
_ASKS_FOR_CREDENTIALS: Final = re.compile(r"performing (?:token request|[A-Z]+ http://169\.254\.)")
_DENIED: Final = "(code: AccessDenied)"  # of one of many objects that were to be deleted; the answer has no status
_REDIRECTED: Final = "incorrectly configured region"
_REGION: Final = "the bucket is in another region. Set AWS_REGION to that"
_REFUSED: Final = (401, 403)
_REASONS: Mapping[int, str] = MappingProxyType({
    301: _REGION,
    401: "it does not know the credentials (401)",
    403: "it refuses the credentials that were found, or what they may do (403)",
    404: "there is no such bucket (404). Make it, or correct `remote` in params/machine.toml",
    429: "it has too many requests (429)",
})  # fmt: skip
# Where each cloud's own tools say credentials can come from; the library asks the machine's role last.
_CREDENTIALS: Mapping[str, str] = MappingProxyType(
    {
        "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
        "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, log in by `gcloud auth application-default login`, or give the "
        "machine a service account",
        "az": "Set AZURE_STORAGE_ACCOUNT_NAME and a key or token, or give the machine an identity",
    }
)


def open_bucket(address: Address) -> "ObjectStorage":
    """A bucket, or a folder; nothing is asked yet.

    Raises:
        RemoteError: obstore is not installed, the folder is not there, or the environment has half of what it takes.
    """
    try:
        import obstore  # noqa: PLC0415, F401 (of no use to those who share nothing)
    except ImportError as error:
        raise RemoteError(
            f"{address}: needs obstore, which is not installed. Run `pip install 'hunyuan-stages[remote]'`, in a clone "
            "`pip install -e '.[remote]'`."
        ) from error
    if address.scheme == FOLDER and not Path(address.path).is_dir():
        raise RemoteError(f"{address}: there is no such folder. Make it, or mount the disk that it lies on.")
    return ObjectStorage(address, _open(address, read_timeout=f"{_ANSWER_S}s"), _open(address))


def _open(address: Address, **options: str) -> Any:
    """One of the library's stores; `options` are of its HTTP client."""
    from obstore.store import LocalStore, from_url  # noqa: PLC0415 (as above)

    if address.scheme == FOLDER:
        return LocalStore(address.path)
    is_plain = environ.get("AWS_ALLOW_HTTP", environ.get("ALLOW_HTTP", "")).lower() in ("1", "true")
    client: Any = {
        "connect_timeout": f"{_CONNECT_S}s",
        "timeout": f"{_TRANSFER_S}s",
        "allow_http": is_plain,  # which these options would switch off
        **options,
    }
    retries: Any = {"max_retries": _MAX_RETRIES, "retry_timeout": timedelta(seconds=_RETRY_S)}
    try:
        return from_url(str(address), client_options=client, retry_config=retries)
    except Exception as error:
        hint = _CREDENTIALS[address.scheme]
        raise RemoteError(f"{address}: what the environment says of it is wrong, or not all. {hint}.") from error


class ObjectStorage:
    """A bucket below a prefix, or a folder."""

    def __init__(self, address: Address, store: Any, store_for_large: Any) -> None:
        """Both are the same of obstore's, the second without a limit on the time until an answer begins."""
        self._address = address
        self._store = store
        self._store_for_large = store_for_large

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """As Bucket's; a thousand objects are one request."""
        with self._explained():
            for page in self._library.list(self._store, prefix, chunk_size=1000):
                for each in page:
                    yield StoredObject(str(each["path"]), int(each["size"]), each["last_modified"].timestamp())

    def get(self, name: str) -> bytes | None:
        """As Bucket's."""
        pieces: list[bytes] = []
        return b"".join(pieces) if self.read(name, lambda piece: pieces.append(bytes(piece))) else None

    def read(self, name: str, take: Callable[[memoryview], None]) -> bool:
        """As Bucket's."""
        with self._explained():
            try:
                found = self._library.get(self._store, name)
            except FileNotFoundError:
                return False
            # of a folder's file the library makes pieces of a few kB, at a tenth of the speed
            is_folder = self._address.scheme == FOLDER
            pieces = iter([found.bytes()] if is_folder else found.stream(min_chunk_size=_PIECE_BYTES))
        while (piece := self._next(pieces)) is not None:
            take(memoryview(piece))
        return True

    def _next(self, pieces: Iterator[Any]) -> Any:
        with self._explained():
            return next(pieces, None)

    def put(self, name: str, content: bytes) -> None:
        """As Bucket's."""
        with self._explained():
            self._library.put(self._store_for_large, name, content, use_multipart=False)

    def put_new(self, name: str, content: bytes) -> bool:
        """As Bucket's."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError  # noqa: PLC0415 (as above)

        with self._explained():
            try:
                self._library.put(self._store, name, content, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def delete(self, names: Collection[str]) -> None:
        """As Bucket's."""
        if not names:
            return
        with self._explained():
            try:
                self._library.delete(self._store, [*names])
            except FileNotFoundError:
                for name in names if len(names) > 1 else ():  # of a folder; another process deletes them, too
                    self.delete([name])

    @property
    def _library(self) -> Any:
        import obstore  # noqa: PLC0415 (as above)

        return obstore

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the library says in the block is one message of ours."""
        try:
            yield
        except Exception as error:
            raise RemoteError(f"{self._address}: {_explain(error, self._address)}.") from error


def _explain(error: Exception, address: Address) -> str:
    """Why there is no answer, in words, without a full stop; of the library's text only what cannot be a secret."""
    text = str(error).partition("Debug source")[0]  # below it the library shows its own settings
    if address.scheme == FOLDER:
        found = re.search(r'message: "([^"]*)"', str(error))
        return f"cannot be used ({found[1] if found else type(error).__name__})"
    if _ASKS_FOR_CREDENTIALS.search(text):
        return f"there are no credentials for it. {_CREDENTIALS[address.scheme]}"
    status = _STATUS.search(text)
    if status is None and isinstance(error, FileNotFoundError):
        return _REASONS[404]
    if _REDIRECTED in text:
        return _REGION
    if status is None and _DENIED not in text:
        return "it does not answer in time" if _TIMED_OUT.search(str(error)) else "it cannot be reached, or broke off"
    number = 403 if status is None else int(status[1] or status[2])
    reason = _REASONS.get(number, f"it answers with an error ({number})")
    return f"{reason}. {_CREDENTIALS[address.scheme]}" if number in _REFUSED else reason
