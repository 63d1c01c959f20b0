"""Artifacts in a bucket of an S3 server.

An object appears under its key when its last byte is there, never earlier: small ones by one PUT, large ones by a
multi-part upload that is completed at the end. Nothing is built on conditional requests, nor on checksums other than
MD5, which older servers do not know. What is being received has a marker beside it, so that whoever collects
leftovers knows what is still to be recorded.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from django.utils import timezone

from artifacts.storage.base import BLOCK_BYTES, MARK, UID, BodyCutOff, Received, StoreUnavailable, check_place
from artifacts.storage.s3_client import Bucket, base64_md5
from artifacts.storage.s3_reading import S3Reader
from trainhub.errors import DomainError, InvalidInput

HUB_PART_BYTES = 8 * BLOCK_BYTES  # of what passes through the hub: memory that each such upload takes, about twice
LARGE_PART_BYTES = 64 * BLOCK_BYTES  # beyond MANY_PARTS, as an object has at most 10,000
MANY_PARTS = 5000
MARKED_EVERY_SECONDS = 600.0  # the marker of what is being received becomes young again
LOOKS_AT_MOST = 4  # files that are looked at one by one; more are listed, up to 1,000 with each request
COPIED_AT_ONCE = 1024 * BLOCK_BYTES  # of an object, by the server; 5 GiB is the protocol's limit


class S3Store:
    """Artifacts under a prefix of a bucket; the methods are those of `ArtifactStore`, and all are network calls."""

    kind = "s3"

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def key(self, uid: str, number: int) -> str:
        """Return the key of a file."""
        return f"{self._folder(uid)}{self._checked(uid, number):06d}"

    @staticmethod
    def _checked(uid: str, number: int) -> int:
        check_place(uid, number)
        return number

    def _folder(self, uid: str) -> str:
        check_place(uid, 0)
        return f"{self.bucket.prefix}{uid[-2:]}/{uid}/"

    @property
    def _incoming(self) -> str:
        return f"{self.bucket.prefix}incoming/"

    # --- Looking ----------------------------------------------------------------------------------
    def has(self, uid: str, index: int, size_bytes: int) -> bool:
        """Tell whether the object is there with its full size."""
        try:
            with self.bucket.asking() as client:
                head = client.head_object(**self.bucket.at(self.key(uid, index)))
        except FileNotFoundError:
            return False
        return bool(head["ContentLength"] == size_bytes)

    def missing(self, uid: str, sizes: Mapping[int, int]) -> list[int]:
        """Return those numbers whose objects are not there with their full size.

        What a listing lacks is looked at by itself: on some servers listings follow a moment later.
        """
        is_listed = len(sizes) > LOOKS_AT_MOST
        listed = self.sizes(uid) if is_listed else {}
        unsure = [number for number, size_bytes in sizes.items() if listed.get(number) != size_bytes]
        missing = [number for number in unsure if not self.has(uid, number, sizes[number])]
        if missing and not is_listed:
            self.holds(uid)  # a look cannot tell a file that is missing from a bucket that is: a listing raises
        return missing

    def sizes(self, uid: str) -> dict[int, int]:
        """Return the bytes of an artifact's objects by their numbers."""
        return {_number(found["Key"]): found["Size"] for found in self.bucket.objects(self._folder(uid))}

    def numbers(self, uid: str) -> set[int]:
        """Return the numbers of an artifact's objects."""
        return set(self.sizes(uid))

    def holds(self, uid: str) -> bool:
        """Tell whether any object of an artifact is there."""
        return any(True for _ in self.bucket.objects(self._folder(uid), page=1))

    def open(self, uid: str, index: int) -> S3Reader:
        """Open an object for reading. Raises: FileNotFoundError."""
        return S3Reader(self.bucket, self.key(uid, index))

    def digest(self, uid: str, index: int) -> str:
        """Return the SHA-256 of an object, which is read through. Raises: FileNotFoundError."""
        digest = hashlib.sha256()
        with self.open(uid, index) as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()

    # --- Writing ----------------------------------------------------------------------------------
    def write(self, uid: str, index: int, blocks: Iterable[bytes], *, size_bytes: int, sha256: str) -> None:
        """Store one file that passes through the hub; memory use is two parts."""

        def check(received: Received) -> None:
            if received != (size_bytes, sha256):
                raise InvalidInput({"file": ["Size or SHA-256 differ from the manifest; send it again."]})

        self._send(self.key(uid, index), blocks, size_bytes, check)

    @contextmanager
    def receive(self, uid: str, number: int, blocks: Iterable[bytes], *, size_bytes: int | None) -> Iterator[Received]:
        """Store one file of unknown hash and yield what arrived, as `ArtifactStore.receive` tells."""
        marker = f"{self._incoming}{uid}-{self._checked(uid, number):06d}.{secrets.token_hex(4)}"

        def check(received: Received) -> None:
            if size_bytes is not None and received.size_bytes != size_bytes:
                raise BodyCutOff(f"Of {size_bytes} bytes {received.size_bytes} arrived; nothing was kept.")

        def mark() -> None:
            self.bucket.put(marker, b"")

        mark()
        try:
            received = self._send(self.key(uid, number), blocks, size_bytes, check, mark)
        except BaseException:
            self.bucket.try_to_delete(marker)
            raise
        try:
            yield received
        except DomainError:
            self.bucket.try_to_delete(self.key(uid, number), marker)
            raise
        self.bucket.try_to_delete(marker)

    def _send(
        self,
        key: str,
        blocks: Iterable[bytes],
        limit: int | None,
        check: Callable[[Received], None],
        beat: Callable[[], None] = lambda: None,
    ) -> Received:
        """Make an object of blocks if `check` lets it pass; one byte over `limit` ends it. `beat` now and then."""
        parts = _Parts(self.bucket, key)
        digest, size, beat_at = hashlib.sha256(), 0, time.monotonic() + MARKED_EVERY_SECONDS
        try:
            for block in blocks:
                size += len(block)
                if limit is not None and size > limit:
                    break
                digest.update(block)
                parts.add(block)
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + MARKED_EVERY_SECONDS
                    beat()
            received = Received(size, digest.hexdigest())
            check(received)
            parts.finish()
        except BaseException:
            parts.abort()
            raise
        return received

    def link(self, uid: str, number: int, *, to_uid: str, to_number: int) -> None:
        """Have the server copy an object; about 1 s for each GB. Raises: FileNotFoundError."""
        source, target = self.key(uid, number), self.key(to_uid, to_number)
        with self.bucket.asking() as client:
            size = client.head_object(**self.bucket.at(source))["ContentLength"]
        if size > COPIED_AT_ONCE:
            self._copy_in_parts(source, target, size)
            return
        with self.bucket.working() as client:
            client.copy_object(**self.bucket.at(target), CopySource=self.bucket.at(source))

    def _copy_in_parts(self, source: str, target: str, size: int) -> None:
        upload = self.bucket.begin(target)
        try:
            etags: list[str] = []
            for start in range(0, size, COPIED_AT_ONCE):
                with self.bucket.working() as client:
                    answer = client.upload_part_copy(
                        **self.bucket.at(target),
                        UploadId=upload,
                        PartNumber=len(etags) + 1,
                        CopySource=self.bucket.at(source),
                        CopySourceRange=f"bytes={start}-{min(start + COPIED_AT_ONCE, size) - 1}",
                    )
                etags.append(answer["CopyPartResult"]["ETag"])
            self.bucket.complete(target, upload, etags)
        except BaseException:
            self.bucket.abort(target, upload)
            raise

    # --- Removing ---------------------------------------------------------------------------------
    def delete_file(self, uid: str, number: int) -> None:
        """Remove one object; gone is success."""
        self.bucket.delete([self.key(uid, number)])

    def delete(self, uid: str) -> None:
        """Remove all objects of an artifact and give up its uploads; gone is success."""
        for upload in self.bucket.uploads(self._folder(uid)):
            self.bucket.abort(upload["Key"], upload["UploadId"])
        self.bucket.delete(found["Key"] for found in self.bucket.objects(self._folder(uid)))

    # --- What is under way, and what was left -----------------------------------------------------
    def being_received(self, uid: str) -> set[int]:
        """Return the numbers of an artifact's files that have a marker."""
        check_place(uid, 0)
        return {_marked(found["Key"])[1] for found in self.bucket.objects(f"{self._incoming}{uid}-")}

    def abandoned(self, *, older_than: timedelta) -> dict[str, set[int]]:
        """Return the numbers of files with markers of so long ago, by the uids of their artifacts."""
        found: dict[str, set[int]] = {}
        for key in self._old_markers(older_than):
            uid, number = _marked(key)
            found.setdefault(uid, set()).add(number)
        return found

    def collect_incoming(self, *, older_than: timedelta) -> int:
        """Remove old markers; return how many."""
        keys = self._old_markers(older_than)
        self.bucket.delete(keys)
        return len(keys)

    def _old_markers(self, older_than: timedelta) -> list[str]:
        limit = timezone.now() - older_than
        return [found["Key"] for found in self.bucket.objects(self._incoming) if found["LastModified"] < limit]

    def parts(self, *, after: str, limit: int) -> list[str]:
        """Return the names of some parts of the store, in order, that follow `after`."""
        start = len(self.bucket.prefix)
        names = (folder[start:-1] for folder in self.bucket.folders(self.bucket.prefix))
        return sorted(name for name in names if len(name) == 2 and name > after)[:limit]

    def uids_in(self, part: str, *, older_than: timedelta) -> list[str]:
        """Return the uids of artifacts in a part of the store to which no object was added for so long."""
        limit, newest = timezone.now() - older_than, dict[str, Any]()
        for found in self.bucket.objects(f"{self.bucket.prefix}{part}/"):
            uid = found["Key"][len(self.bucket.prefix) :].split("/")[1]
            if UID.fullmatch(uid) and uid[-2:] == part:
                newest[uid] = max(newest.get(uid, found["LastModified"]), found["LastModified"])
        return [uid for uid, at in newest.items() if at < limit]

    def read_mark(self) -> str | None:
        """Return the uid of the installation that the bucket belongs to; None when nobody has marked it."""
        try:
            with S3Reader(self.bucket, f"{self.bucket.prefix}{MARK}") as file:
                return file.read().decode(errors="replace").strip()
        except FileNotFoundError:
            return None

    def write_mark(self, uid: str) -> None:
        """Let what begins with the prefix belong to an installation."""
        self.bucket.put(f"{self.bucket.prefix}{MARK}", f"{uid}\n".encode())

    def problems(self) -> list[str]:
        """Return why no object can be put into the bucket, read and deleted."""
        key, content = f"{self._incoming}probe_0-000000.{secrets.token_hex(4)}", b"probe"
        try:
            self.bucket.put(key, content)
            with S3Reader(self.bucket, key) as file:
                is_same = file.read() == content
            self.bucket.delete([key])
            next(self.bucket.objects(self._incoming), None)  # what has to be allowed beside that
            next(self.bucket.uploads(self._incoming), None)
        except FileNotFoundError:
            return ["The object store takes an object, and does not give it back."]
        except StoreUnavailable as error:
            return [error.detail]
        return [] if is_same else ["The object store gives back other bytes than it was given."]


class _Parts:
    """Bytes on their way to an object: one PUT when they are few, parts when they are many."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key = bucket, key
        self._waiting = bytearray()
        self._upload = ""
        self._etags: list[str] = []

    def add(self, block: bytes) -> None:
        """Take some bytes; a part is sent whenever enough wait."""
        self._waiting += block
        if len(self._waiting) >= (HUB_PART_BYTES if len(self._etags) < MANY_PARTS else LARGE_PART_BYTES):
            self._send_part()

    def _send_part(self) -> None:
        self._upload = self._upload or self._bucket.begin(self._key)
        part, self._waiting = self._waiting, bytearray()
        with self._bucket.moving() as client:
            answer = client.upload_part(
                **self._bucket.at(self._key),
                UploadId=self._upload,
                PartNumber=len(self._etags) + 1,
                Body=part,
                ContentMD5=base64_md5(part),
            )
        self._etags.append(answer["ETag"])

    def finish(self) -> None:
        """Let the object appear."""
        if not self._upload:
            self._bucket.put(self._key, self._waiting)
            return
        if self._waiting:
            self._send_part()
        self._bucket.complete(self._key, self._upload, self._etags)

    def abort(self) -> None:
        """Give up; what cannot be removed now is collected later."""
        if self._upload:
            with suppress(StoreUnavailable):
                self._bucket.abort(self._key, self._upload)


def _number(key: str) -> int:
    return int(key.rpartition("/")[2])


def _marked(key: str) -> tuple[str, int]:
    """Return the uid and number that the key of a marker names."""
    uid, _, rest = key.rpartition("/")[2].partition("-")
    return uid, int(rest.partition(".")[0])
