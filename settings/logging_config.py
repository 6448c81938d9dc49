"""Structured logs: one JSON object a line, on standard error, with the request id.

An exception is logged as its type and stack frames, without its text: drivers put values into it
("Key (email_canonical)=(…) already exists"), and no address, code or token may reach a log.
Rollcall's own errors keep their text, which is a code.
"""

import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import ExcInfo

from domain.model.errors import RollcallError

_MAX_FRAMES = 12
_VERBOSE_LOGGERS = (
    "sendgrid", "python_http_client", "vonage", "urllib3", "peewee", "django.db.backends",
    "django.template",
)  # fmt: skip  # one glance shows the whole list
# gunicorn's messages that quote a request begin with these.
_GUNICORN_QUOTES = ("Invalid request from", "Error handling request")


def configure_logging(level: str) -> dict[str, Any]:
    """Returns Django's `LOGGING`, and configures structlog to use it."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_describe_exception),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [_redact_request, *shared],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": _configure_loggers(level),
    }


def _configure_loggers(level: str) -> dict[str, dict[str, Any]]:
    """Returns what differs of other packages' loggers."""
    return {
        # Django would log these twice: by its own handler, and by the root logger.
        "django": {"handlers": [], "level": level, "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        # The server's processes: started, exited, killed.
        "gunicorn.error": {"handlers": ["stderr"], "level": level, "propagate": False},
        # A warning for each HEAD: WSGI leaves it to the server to drop the body.
        "gunicorn.http.wsgi": {"level": "ERROR"},
        # Two lines a task at INFO; the dashboard shows the same.
        "huey": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "huey.consumer": {"level": level},
        # These log whole requests, statements and contexts, with all values.
        **{name: {"level": "WARNING"} for name in _VERBOSE_LOGGERS},
    }


def _exception_chain_types(error: BaseException) -> str:
    """Returns the types of an error and its causes, with the text of Rollcall's own errors only."""
    types = []
    current: BaseException | None = error
    while current is not None:
        name = type(current).__qualname__
        types.append(f"{name}: {current}" if isinstance(current, RollcallError) else name)
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return " from ".join(types)


def _describe_exception(exc_info: ExcInfo) -> dict[str, Any]:
    _, error, where = exc_info
    frames = traceback.extract_tb(where)[-_MAX_FRAMES:]
    return {
        "types": _exception_chain_types(error),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _redact_request(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Removes what a client has sent (path, host, a malformed line) from other loggers' records."""
    record = event.get("_record")
    if record is None:
        return event
    if record.name == "django.request":
        # Django logs it when the middleware, and the context of the logs with it, has ended.
        event["request_id"] = getattr(getattr(record, "request", None), "request_id", None)
        event["event"] = "request_failed"
        event["status"] = getattr(record, "status_code", None)
    elif record.name.startswith("django.security."):
        event["event"] = "suspicious_request"
    elif record.name == "gunicorn.error" and str(record.msg).startswith(_GUNICORN_QUOTES):
        event["event"] = "request_not_served"
    return event
