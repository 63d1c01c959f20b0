"""`Idempotency-Key`: a repeated POST gets the first answer again and changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import orjson
from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response

from projects.models import IdempotentAnswer
from trainhub.api.renderers import OrjsonRenderer
from trainhub.errors import InvalidInput, KeyReused

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"  # set on an answer given again


def answer_once(request: Request, create: Callable[[], Response], *, secret: str = "") -> Response:
    """Return what `create` answers, or what it answered to the same key and request before.

    Everything happens in one transaction: the key and what it created are stored together or not at all, and of
    two simultaneous requests the second waits for the first. Keys belong to the caller and live for 24 hours.
    The field named `secret` is null in repeated answers, as secrets are not kept.

    Raises: KeyReused (409) for a known key with another request; InvalidInput for an unusable key.
    """
    key = _key_of(request)
    if key is None:
        with transaction.atomic():
            return create()
    digest = _digest(request)
    with transaction.atomic():
        kept, is_new = IdempotentAnswer.objects.get_or_create(
            user_id=int(request.user.pk or 0), key=key, defaults={"request_digest": digest}
        )
        return _first_answer(kept, create, secret) if is_new else _same_answer(kept, digest)


def known_answer(request: Request) -> Response | None:
    """Return the kept answer to a repeated request, None to a new one; for views with long work before `answer_once`.

    Raises as `answer_once` does.
    """
    key = _key_of(request)
    kept = IdempotentAnswer.objects.filter(user_id=int(request.user.pk or 0), key=key).first() if key else None
    return _same_answer(kept, _digest(request)) if kept else None


def _key_of(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and (not 0 < len(key) <= 255 or not key.isprintable()):
        raise InvalidInput({HEADER: ["Must have 1 to 255 printable characters."]})
    return key


def _digest(request: Request) -> str:
    place = f"{request.method} {request.get_full_path()} ".encode()
    return hashlib.sha256(place + orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _first_answer(kept: IdempotentAnswer, create: Callable[[], Response], secret: str) -> Response:
    answer = create()
    kept.status_code = answer.status_code
    kept.body = orjson.loads(OrjsonRenderer().render(answer.data))
    if secret in kept.body:
        kept.body[secret] = None
    kept.location = answer.headers.get("Location", "")
    kept.save()
    return answer


def _same_answer(kept: IdempotentAnswer, digest: str) -> Response:
    if kept.request_digest != digest:
        raise KeyReused("This Idempotency-Key was used for another request.")
    headers = {"Location": kept.location} if kept.location else {}
    return Response(kept.body, status=kept.status_code, headers={**headers, REPLAYED: "true"})
