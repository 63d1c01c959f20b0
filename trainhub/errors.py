"""Errors of the domain. Each carries the HTTP status and the stable code that API clients see."""

from __future__ import annotations

from typing import Any


class DomainError(Exception):
    """Something that was asked for cannot be done; `detail` says why in a sentence for people.

    `status` is the HTTP status, `code` a stable word for programs; `extra` holds more fields of the answer.
    """

    status = 400
    code = "invalid"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class MalformedBody(DomainError):
    """The body is not JSON that the hub takes."""

    code = "parse_error"


class InvalidInput(DomainError):
    """A value was refused; `fields` maps field names to lists of sentences, as DRF shows field errors."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in fields.items()))
        self.fields = fields


class NotFound(DomainError):
    """What was named does not exist, or the caller may not know that it does."""

    status = 404
    code = "not_found"


class NotAllowed(DomainError):
    """The caller may see the object but not do this to it."""

    status = 403
    code = "permission_denied"


class Removed(DomainError):
    """What was asked for was here, and was removed for good."""

    status = 410
    code = "removed"


class Conflict(DomainError):
    """The object is in a state that does not allow this."""

    status = 409
    code = "conflict"


class IllegalTransition(Conflict):
    """The lifecycle has no such transition; `extra` holds the current status and the ones allowed."""

    code = "illegal_transition"


class StatusChanged(Conflict):
    """Somebody else changed the status first."""

    code = "status_changed"


class ArtifactDamaged(Conflict):
    """Stored bytes do not match the manifest; `extra["file"]` names the file."""

    code = "artifact_damaged"


class KeyReused(Conflict):
    """An Idempotency-Key came again with another body."""

    code = "idempotency_key_reused"


class Fenced(Conflict):
    """This attempt is over or another one took its place."""

    code = "fenced"


class AlreadyClaimed(Conflict):
    """Another runner holds this attempt."""

    code = "already_claimed"


class SequenceGap(Conflict):
    """A batch came before its predecessor; `extra["expected"]` is the sequence wanted next."""

    code = "sequence_gap"


class TooLarge(DomainError):
    """The body or batch is over a limit; `extra["limit"]` names it."""

    status = 413
    code = "too_large"


class StorageFull(DomainError):
    """No space is left for what was sent; nothing of it was kept."""

    status = 507
    code = "storage_full"


class TooBusy(DomainError):
    """All places for this kind of request are taken; the same request may succeed shortly."""

    status = 503
    code = "busy"
