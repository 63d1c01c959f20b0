"""How the hub's processes write their logs: lines for people, or one JSON object a line for machines.

Lines that are written while a request is answered carry its id, so that they can be found by what the caller saw.
What looks like a secret is masked, whoever wrote it into a message. Needs no Django settings: gunicorn reads it first.
"""

from __future__ import annotations

import logging
import os
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
from django.utils.functional import SimpleLazyObject

FORMATS = ("plain", "json")
# What goes before a secret, in groups, and then the secret. More is masked than needed rather than less.
_NAME = r"(?>[\w-]*?(?:token(?!s|iz)|password|passwd|secret|signature)[\w-]*+|link|sessionid)"
_GIVEN = rf"(?<![\w-]){_NAME}[\"']?\s*[=:]\s*"
_SECRETS = re.compile(
    rf"""(?ix)
    (cookie["']?\s*[:=]\s*) [^\r\n]+  # all of the header: the names of cookies say nothing
    | (authorization["']?\s*[:=]\s*["']?(?:\w[\w-]*\s+)? | \bbearer\s+) [^\s"',;}}]+
    | (://[^/\s:@]*:) \S{{1,500}}(?=@)  # to the last @, for a password may have some
    | ({_GIVEN}") (?:[^"\\\r\n]|\\.)*
    | ({_GIVEN}') (?:[^'\\\r\n]|\\.)*
    | ({_GIVEN}(?:\\["'])? | (?<![\w-])--{_NAME}(?:\s+|["'],\s*)["']?) [^\s&"',;}}]+
    """
)


class LoggedRequest(Protocol):
    """What a log line says of a request; Django's own has it, and `request_id` since the middleware."""

    request_id: str
    method: str | None
    path: str


current_request: ContextVar[Any] = ContextVar("current_request", default=None)


def masked(text: str) -> str:
    """Return the text with what looks like a secret left out."""
    return _SECRETS.sub(lambda found: f"{found[found.lastindex or 0]}[masked]", text)


def user_id_of(request: Any) -> int | None:
    """Return the key of who made the request, None when nobody asked for that yet; asks the database nothing."""
    user = vars(request).get("user")
    if isinstance(user, SimpleLazyObject):
        user = vars(request).get("_cached_user")
    return getattr(user, "pk", None)


class PlainFormatter(logging.Formatter):
    """Lines for people, with the request's id at the end of those that have one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Add the id."""
        request = current_request.get()
        line = super().formatMessage(record)
        return line if request is None else f"{line} [request {request.request_id}]"

    def format(self, record: logging.LogRecord) -> str:
        """Mask secrets, those in tracebacks too."""
        return masked(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, process; of requests and errors what there is."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
            "message": masked(record.getMessage()),
            "process": record.process,
        }
        request = current_request.get()
        if request is not None:
            line |= {"request_id": request.request_id, "method": request.method, "path": masked(request.path)}
            if (user := user_id_of(request)) is not None:
                line["user"] = user
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = masked(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = masked(record.stack_info)
        return orjson.dumps(line, default=str).decode()


def wanted_format() -> str:
    """Return TRAINHUB_LOG_FORMAT. Raises: ValueError for a word that is none."""
    chosen = os.environ.get("TRAINHUB_LOG_FORMAT") or "plain"
    if chosen not in FORMATS:
        raise ValueError(f"TRAINHUB_LOG_FORMAT is {' or '.join(FORMATS)}, not {chosen}")
    return chosen


def logging_config() -> dict[str, Any]:
    """Return the configuration of `logging.config.dictConfig`, the same for web, scheduler and commands."""
    formatter = {"plain": PlainFormatter, "json": JsonFormatter}[wanted_format()]
    ours = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"chosen": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "chosen"}},
        "root": {"handlers": ["stderr"], "level": os.environ.get("TRAINHUB_LOG_LEVEL") or "WARNING"},
        "loggers": {
            "trainhub": {"level": "INFO"},
            "runs": {"level": "INFO"},
            "django": {**ours, "level": "WARNING"},
            "django.request": {"level": "ERROR"},  # a refused request is the caller's news, not the operator's
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "gunicorn.error": {**ours, "level": "WARNING"},
            "gunicorn.access": {**ours, "level": "CRITICAL"},  # the hub's own middleware writes these lines
        },
    }
