"""What the hub asks of an S3 server, request by request, and what the server's errors mean.

botocore, the library below boto3, is imported when a bucket is first used: installations without one need not have it.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from artifacts.storage.base import StoreUnavailable

CONNECT_SECONDS = 3
READ_SECONDS, TRIES = 60, 3  # of bytes; botocore tries again after 5xx, "slow down" and broken connections
ASK_SECONDS, ASK_TRIES = 5, 2  # of questions; a server that keeps silent is not asked again
AWAY_SECONDS = 5.0  # after a server was not reached or kept silent, others do not hang at it too
CONNECTIONS = 32
QUESTIONS_AT_ONCE = 4  # of one process: with its transfers still fewer than its threads, should the server keep silent
WORKS_AT_ONCE = 2  # as above: what the server takes a while for
PLACE_SECONDS = 1.0  # that others wait for a place
DELETED_AT_ONCE = 250  # the protocol allows 1,000; a slow server does so many in time
SMALL_BYTES = 64 * 1024  # such an object is stored as quickly as a question is answered
_GONE = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
_lock = threading.Lock()
_questions = threading.BoundedSemaphore(QUESTIONS_AT_ONCE)
_works = threading.BoundedSemaphore(WORKS_AT_ONCE)
_away_until: dict[str, float] = {}  # by endpoint, monotonic


@dataclass(frozen=True)
class Location:
    """A bucket, the start of all keys (empty or with a slash at its end), and the server's address; empty for AWS's."""

    bucket: str
    prefix: str
    endpoint: str


@lru_cache
def make_session() -> Any:
    """Return what clients share: credentials, and the description of the protocol, which is 10 MB of memory."""
    import botocore.session

    return botocore.session.get_session()


@lru_cache
def make_client(endpoint: str, *, for_questions: bool = False) -> Any:
    """Return the client of a server, with the credentials that botocore finds: in AWS_* variables, files or roles.

    One for questions gives up soon. Threads may share it. Raises: StoreUnavailable when botocore is not installed or a
    setting makes no sense.
    """
    try:
        from botocore.config import Config  # an extra, and 30 MB of memory
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise StoreUnavailable("botocore, which the object store needs, is not installed: make s3") from None
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint else "auto"},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ASK_SECONDS if for_questions else READ_SECONDS,
        retries={"total_max_attempts": ASK_TRIES if for_questions else TRIES, "mode": "standard"},
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",  # older servers know no CRC32, and it would enter signed URLs
        response_checksum_validation="when_required",
    )
    try:
        with _lock:  # a session is not made for several threads
            client = make_session().create_client("s3", endpoint_url=endpoint or None, config=config)
    except (BotoCoreError, ValueError) as error:
        raise StoreUnavailable(f"The object store is not set up: {type(error).__name__}.") from None
    client.meta.events.register("before-sign.s3.DeleteObjects", _add_md5)
    if for_questions:
        client.meta.events.register_first("needs-retry.s3", _never_after_silence)
    return client


def _add_md5(request: Any, **_: Any) -> None:
    """Add the header that the protocol asks for here; botocore sends a CRC32, which not all servers take."""
    body = request.body if isinstance(request.body, bytes) else request.body.encode()
    request.headers["Content-MD5"] = base64_md5(body)


def base64_md5(content: bytes | bytearray) -> str:
    """Return the MD5 as Content-MD5 has it (RFC 1864)."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _never_after_silence(caught_exception: Exception | None = None, **_: Any) -> bool | None:
    """Say no to another try of a request that was not answered in time; None leaves it to botocore."""
    return False if isinstance(caught_exception, _silence()) else None


def _silence() -> tuple[type[Exception], ...]:
    from botocore import exceptions  # only once there is a client

    return exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError


@contextmanager
def told(endpoint: str, *, is_noted: bool = True) -> Iterator[None]:
    """Turn a server's errors into FileNotFoundError and StoreUnavailable.

    No address, key or credential is in their texts. That a server was not reached or kept silent is noted for others,
    except with `is_noted` false, where it may be the matter of one connection.
    """
    from botocore import exceptions  # only once there is a client

    try:
        yield
    except exceptions.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _GONE:
            raise FileNotFoundError(code) from None
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        raise StoreUnavailable(f"The object store answered {status} {code[:60]}.") from None
    except exceptions.BotoCoreError as error:
        if is_noted and isinstance(error, (exceptions.EndpointConnectionError, *_silence())):
            _away_until[endpoint] = time.monotonic() + AWAY_SECONDS
        raise StoreUnavailable(f"The object store cannot be reached: {type(error).__name__}.") from None


@contextmanager
def _place(places: threading.BoundedSemaphore, endpoint: str) -> Iterator[None]:
    """Hold a place. Raises: StoreUnavailable when none becomes free, or the server was away just now."""
    if not places.acquire(timeout=PLACE_SECONDS):
        raise StoreUnavailable("The object store answers slowly; too much waits for it already.")
    try:
        if time.monotonic() < _away_until.get(endpoint, 0.0):
            raise StoreUnavailable("The object store cannot be reached.")
        yield
    finally:
        places.release()


@dataclass(frozen=True)
class Bucket:
    """The bucket of an installation."""

    location: Location

    @property
    def prefix(self) -> str:
        """The start of all keys."""
        return self.location.prefix

    @contextmanager
    def asking(self) -> Iterator[Any]:
        """Yield the client for one question: an answer comes in seconds or not at all. Raises: as `told` tells.

        Only so many threads of a process ask at once, as those that answer people are few.
        """
        endpoint = self.location.endpoint
        client = make_client(endpoint, for_questions=True)
        with _place(_questions, endpoint), told(endpoint):
            yield client

    @contextmanager
    def working(self) -> Iterator[Any]:
        """Yield the client for what the server takes a while for, such as a copy; few at once, as with `asking`."""
        with _place(_works, self.location.endpoint), self.moving() as client:
            yield client

    @contextmanager
    def moving(self) -> Iterator[Any]:
        """Yield the client for bytes, which the caller has a place for. Raises: as `told` tells.

        What goes on is not broken off because a question of somebody else was not answered.
        """
        client = make_client(self.location.endpoint)
        with told(self.location.endpoint):
            yield client

    def at(self, key: str) -> dict[str, str]:
        """Return the arguments that name an object."""
        return {"Bucket": self.location.bucket, "Key": key}

    def put(self, key: str, content: bytes | bytearray) -> None:
        """Store a small object. Raises: StoreUnavailable."""
        with self.asking() if len(content) <= SMALL_BYTES else self.moving() as client:
            client.put_object(**self.at(key), Body=content, ContentMD5=base64_md5(content))

    def objects(self, prefix: str, *, page: int = 1000) -> Iterator[dict[str, Any]]:
        """Yield the objects whose keys begin so, in the order of keys, `page` with each request."""
        yield from self._pages(prefix, "Contents", PaginationConfig={"PageSize": page})

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield what follows a prefix up to the next slash, the prefix included."""
        for found in self._pages(prefix, "CommonPrefixes", Delimiter="/"):
            yield found["Prefix"]

    def _pages(self, prefix: str, what: str, **more: Any) -> Iterator[dict[str, Any]]:
        with self.asking() as client:
            pages = iter(client.get_paginator("list_objects_v2").paginate(**self._below(prefix), **more))
        while True:
            with self.asking():
                page = next(pages, None)
            if page is None:
                return
            yield from page.get(what, [])

    def _below(self, prefix: str) -> dict[str, str]:
        return {"Bucket": self.location.bucket, "Prefix": prefix}

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, many with each request; gone is success. Raises: StoreUnavailable."""
        left = iter(keys)
        while some := list(islice(left, DELETED_AT_ONCE)):
            objects = [{"Key": key} for key in some]
            with self.asking() as client:
                answer = client.delete_objects(Bucket=self.location.bucket, Delete={"Objects": objects, "Quiet": True})
            failed = [error for error in answer.get("Errors", []) if error.get("Code") not in _GONE]
            if failed:
                raise StoreUnavailable(f"The object store did not delete {len(failed)} objects: {failed[0]['Code']}.")

    def try_to_delete(self, *keys: str) -> None:
        """Remove objects if the server is there; what stays is collected later."""
        with suppress(StoreUnavailable):
            self.delete(keys)

    # --- Uploads in parts -------------------------------------------------------------------------
    def begin(self, key: str) -> str:
        """Begin an upload in parts; return its id."""
        with self.asking() as client:
            return str(client.create_multipart_upload(**self.at(key))["UploadId"])

    def sent_part(self, key: str, upload: str, number: int) -> dict[str, Any] | None:
        """Return what the server has of a part, None without it. Raises: FileNotFoundError when the upload is over."""
        with self.asking() as client:
            answer = client.list_parts(**self.at(key), UploadId=upload, PartNumberMarker=number - 1, MaxParts=1)
        return next((part for part in answer.get("Parts", []) if part["PartNumber"] == number), None)

    def sent_parts(self, key: str, upload: str) -> list[dict[str, Any]]:
        """Return all parts that are there, in order. Raises: FileNotFoundError for an upload that is over."""
        with self.asking() as client:
            pages = client.get_paginator("list_parts").paginate(**self.at(key), UploadId=upload)
            return [part for page in pages for part in page.get("Parts", [])]

    def complete(self, key: str, upload: str, etags: Sequence[str]) -> None:
        """Make an object of parts 1, 2, … Raises: FileNotFoundError for an upload that is over."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        with self.working() as client:
            client.complete_multipart_upload(**self.at(key), UploadId=upload, MultipartUpload={"Parts": parts})

    def abort(self, key: str, upload: str) -> None:
        """Give up an upload; one that is over is fine."""
        with suppress(FileNotFoundError), self.asking() as client:
            client.abort_multipart_upload(**self.at(key), UploadId=upload)

    def uploads(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the uploads in parts that have begun below a prefix and are not over."""
        with self.asking() as client:
            pages = client.get_paginator("list_multipart_uploads").paginate(**self._below(prefix))
            found = [upload for page in pages for upload in page.get("Uploads", [])]
        yield from found

    def sign(self, operation: str, endpoint: str, seconds: int, **arguments: Any) -> str:
        """Return a URL that allows one request, made by whoever has it until so many seconds have passed.

        No network call. `endpoint` is the server's name for whoever makes the request, empty where it is the hub's.
        """
        endpoint = endpoint or self.location.endpoint
        client = make_client(endpoint)
        with told(endpoint):
            named = {"Bucket": self.location.bucket, **arguments}
            return str(client.generate_presigned_url(operation, Params=named, ExpiresIn=seconds))
