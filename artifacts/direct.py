"""Files that go between nodes, browsers and the object store without passing through the hub: by signed URLs.

Such a URL allows one request for some minutes. That of an upload also fixes the length and the MD5 of what may be sent:
whoever gets hold of it can store nothing but the very bytes that were announced.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from artifacts.models import Artifact, ArtifactUpload
from artifacts.storage import store_of, stores
from artifacts.storage.s3 import S3Store
from runner.protocol import MAX_PARTS, MIN_PART_BYTES, PartRequest, Ticket
from trainhub.errors import InvalidInput

UPLOAD_SECONDS = 900  # in which a part must have begun; a new URL costs nothing
DOWNLOAD_SECONDS = 300
KEPT = timedelta(hours=24)  # what was begun and given up
NOTHING_TO_DO: Ticket = {"url": None, "headers": {}}


def direct_store(artifact: Artifact) -> S3Store | None:
    """Return the store of an artifact when others may be sent to it, else None. Raises: StoreUnavailable."""
    files = store_of(artifact)
    return files if isinstance(files, S3Store) else None


def read_part(body: dict[str, Any], size_bytes: int) -> PartRequest:
    """Check what a runner asks for a file of so many bytes. Raises: InvalidInput."""
    number, part_size, md5 = body.get("number"), body.get("part_size"), body.get("md5")
    if type(part_size) is not int or not MIN_PART_BYTES <= part_size <= 2**53:
        raise InvalidInput({"part_size": [f"Must be a whole number of at least {MIN_PART_BYTES}."]})
    count = count_parts(size_bytes, part_size)
    if count > MAX_PARTS:
        raise InvalidInput({"part_size": [f"The file would have more than {MAX_PARTS} parts."]})
    if type(number) is not int or not 1 <= number <= count:
        raise InvalidInput({"number": [f"Must be from 1 to {count}."]})
    if not isinstance(md5, str) or _md5_hex(md5) is None:
        raise InvalidInput({"md5": ["Must be the MD5 of the part in base64."]})
    return {"number": number, "part_size": part_size, "md5": md5}


def _md5_hex(text: str) -> str | None:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == 16 else None


def count_parts(size_bytes: int, part_size: int) -> int:
    """Return how many parts a file has; an empty file has one."""
    return max(1, -(-size_bytes // part_size))


def _length(size_bytes: int, part_size: int, number: int) -> int:
    return min(part_size, size_bytes - (number - 1) * part_size)


def sign_part(files: S3Store, artifact: Artifact, index: int, part: PartRequest) -> Ticket:
    """Return where a part is to be put; nothing to do when it is there with this MD5 already.

    The first part of several begins an upload, which a row remembers. Outside any transaction: asks the store.
    """
    size_bytes, key = artifact.manifest[index]["size_bytes"], files.key(artifact.uid, artifact.file_number(index))
    operation, length = "put_object", size_bytes
    named: dict[str, Any] = {"Key": key}
    if count_parts(size_bytes, part["part_size"]) > 1:
        length = _length(size_bytes, part["part_size"], part["number"])
        upload, sent = _find_part(files, artifact, index, key, part)
        if sent and sent["Size"] == length and sent["ETag"].strip('"') == _md5_hex(part["md5"]):
            return NOTHING_TO_DO
        operation, named = "upload_part", {"Key": key, "UploadId": upload, "PartNumber": part["number"]}
    fixed = {"ContentMD5": part["md5"], "ContentLength": length}
    url = files.bucket.sign(operation, settings.S3_PUBLIC_ENDPOINT, UPLOAD_SECONDS, **named, **fixed)
    return {"url": url, "headers": {"Content-MD5": part["md5"]}}


def _find_part(
    files: S3Store, artifact: Artifact, index: int, key: str, part: PartRequest
) -> tuple[str, dict[str, Any] | None]:
    """Return the upload of a file in parts of this size, begun when there is none, and what it has of the part."""
    row = ArtifactUpload.objects.filter(artifact=artifact, index=index).first()
    if row is not None and row.part_size == part["part_size"]:
        try:
            return row.upload_id, files.bucket.sent_part(key, row.upload_id, part["number"])
        except FileNotFoundError:
            pass  # somebody gave it up
    if row is not None:
        files.bucket.abort(key, row.upload_id)
        row.delete()
    return _begin(files, artifact, index, key, part["part_size"]), None


def _begin(files: S3Store, artifact: Artifact, index: int, key: str, part_size: int) -> str:
    upload = files.bucket.begin(key)
    try:
        with transaction.atomic():
            ArtifactUpload.objects.create(artifact=artifact, index=index, upload_id=upload, part_size=part_size)
    except IntegrityError:  # the same question arrived twice at the same moment
        files.bucket.abort(key, upload)
        return ArtifactUpload.objects.get(artifact=artifact, index=index).upload_id
    return upload


def join_parts(files: S3Store, artifact: Artifact, index: int) -> list[int]:
    """Make a file of its parts when all are there with their sizes; return the numbers of those that are not.

    Asking again changes nothing. Outside any transaction.
    """
    size_bytes, number = artifact.manifest[index]["size_bytes"], artifact.file_number(index)
    key, row = files.key(artifact.uid, number), ArtifactUpload.objects.filter(artifact=artifact, index=index).first()
    if row is None:
        return [] if files.has(artifact.uid, number, size_bytes) else [1]
    try:
        sent = {part["PartNumber"]: part for part in files.bucket.sent_parts(key, row.upload_id)}
        numbers = range(1, count_parts(size_bytes, row.part_size) + 1)
        missing = [n for n in numbers if sent.get(n, {}).get("Size") != _length(size_bytes, row.part_size, n)]
        if missing:
            return missing
        files.bucket.complete(key, row.upload_id, [sent[n]["ETag"] for n in numbers])
    except FileNotFoundError:  # given up, or joined before the answer was lost
        missing = [] if files.has(artifact.uid, number, size_bytes) else [1]
    row.delete()
    return missing


def sign_download(files: S3Store, artifact: Artifact, index: int, *, disposition: str = "", kind: str = "") -> str:
    """Return a URL from which one file can be fetched for some minutes, in ranges too.

    `disposition` and `kind` are the Content-Disposition and Content-Type that the store is to send. No network call.
    """
    named = {"Key": files.key(artifact.uid, artifact.file_number(index))}
    if disposition:
        named |= {"ResponseContentDisposition": disposition, "ResponseContentType": kind}
    return files.bucket.sign("get_object", settings.S3_PUBLIC_ENDPOINT, DOWNLOAD_SECONDS, **named)


def give_up_uploads(*, older_than: timedelta = KEPT) -> int:
    """End uploads in parts that began so long ago and that no live attempt goes on with; return how many."""
    count, before = 0, timezone.now() - older_than
    for files in stores():
        if not isinstance(files, S3Store):
            continue
        alive = set(_alive_uploads())
        for upload in files.bucket.uploads(files.bucket.prefix):
            if upload["Initiated"] < before and upload["UploadId"] not in alive:
                files.bucket.abort(upload["Key"], upload["UploadId"])
                count += 1
    ArtifactUpload.objects.filter(created_at__lt=before, artifact__attempt__ended_at__isnull=False).delete()
    return count


def _alive_uploads() -> Iterator[str]:
    rows = ArtifactUpload.objects.filter(artifact__attempt__ended_at=None)
    yield from rows.values_list("upload_id", flat=True)
