"""`Idempotency-Key`: a repeated POST gets the first answer again and changes nothing; so does a form sent twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import orjson
from django.db import transaction
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response

from projects.models import IdempotentAnswer
from trainhub.api.renderers import OrjsonRenderer
from trainhub.errors import InvalidInput, KeyReused

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"  # set on an answer given again
FORM_KEY = "once"  # the hidden field by which a form that is sent twice counts once
_NOT_CONTENT = (FORM_KEY, "csrfmiddlewaretoken")


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


def place_once(request: HttpRequest, create: Callable[[], str]) -> tuple[str, bool]:
    """Return the path that `create` made for this form to lead to, and whether it was made just now.

    A form sent again with the same hidden key and values finds the first path, as an API call does its answer; changed
    values are another request. Without a usable key every time counts.
    """
    key = _key_of_form(request)
    with transaction.atomic():
        if key is None:
            return create(), True
        kept, is_new = IdempotentAnswer.objects.get_or_create(
            user_id=int(request.user.pk or 0), key=key, defaults={"request_digest": key[-64:], "status_code": 302}
        )
        if is_new:
            kept.location = create()
            kept.save(update_fields=["location"])
        return kept.location, is_new


def known_place(request: HttpRequest) -> str | None:
    """Return where this form led when it was sent before; None to a new one. For views with long work before."""
    key = _key_of_form(request)
    rows = IdempotentAnswer.objects.filter(user_id=int(request.user.pk or 0), key=key)
    return rows.values_list("location", flat=True).first() if key else None


def _key_of_form(request: HttpRequest) -> str | None:
    once = request.POST.get(FORM_KEY, "")
    if not 0 < len(once) <= 64 or not once.isprintable():
        return None
    place = f"{request.method} {request.path} ".encode()
    content = {name: values for name, values in request.POST.lists() if name not in _NOT_CONTENT}
    return f"form {once} {hashlib.sha256(place + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()}"
