"""Shared by the providers' SDKs: an overall deadline, and the classification of failures."""

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

from workers.providers.base import PermanentFailure, SendError, TemporaryFailure

_MAX_RETRY_AFTER = 3600.0
_MAX_ID_LENGTH = 200


def mute_loggers(*loggers: str) -> None:
    """Drops every record of these loggers: SDKs log whole messages and responses.

    A filter and not a level, because filters survive when logging is configured later. It applies
    to the named logger only, not to its children.
    """
    for name in loggers:
        logging.getLogger(name).addFilter(_drop)


def _drop(record: logging.LogRecord) -> bool:
    return False


# The transport under Vonage's SDK logs the URLs of requests.
mute_loggers("urllib3.connectionpool")


class Deadline:
    """A deadline for a whole exchange: when it expires, the connection is shut down.

    A socket timeout bounds each wait only; a response that trickles in can go on for ever. The
    connection is registered after its TLS handshake: name lookup, connecting and the handshake are
    bounded by the timeout of each step, and a connection that is registered after the deadline is
    not used, so that nothing is sent after the caller has given up.
    """

    def __init__(self, timeout: float) -> None:
        self._timer = threading.Timer(timeout, self._abort)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.expired = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    @property
    def connected(self) -> bool:
        """Whether there was a connection, so that the message may have been sent."""
        return self._socket is not None

    def register(self, connection: socket.socket) -> None:
        """Shuts this connection down at the deadline. Raises TimeoutError if that has expired."""
        with self._lock:
            if self.expired:
                raise TimeoutError
            self._socket = connection

    def _abort(self) -> None:
        with self._lock:
            self.expired = True
            if self._socket is not None:
                # Below the TLS layer, whose methods are not safe to call from another thread.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class DeadlineConnection(http.client.HTTPConnection):
    """A connection under a deadline; a mixin for those of urllib and urllib3."""

    def __init__(self, *args: Any, deadline: Deadline, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = deadline

    def connect(self) -> None:
        """Connects. Raises what connecting raises, and TimeoutError past the deadline."""
        super().connect()
        self._deadline.register(self.sock)


def run_with_deadline(send: Callable[[Deadline], str | SendError], timeout: float) -> str:
    """Runs `send` under a deadline; returns its message id, or raises its failure.

    The failure is raised here, because one raised inside an `except` would have the SDK's error as
    its context, with the message in it. Once the deadline has expired, every failure is a timeout:
    a truncated response can look like a complete one.
    """
    with Deadline(timeout) as deadline:
        result = send(deadline)
    if isinstance(result, SendError):
        raise TemporaryFailure("timeout") if deadline.expired else result
    return result


def classify_status(status: int, retry_after: str | None) -> SendError:
    """Classifies an HTTP status other than success.

    401 and 403 are about the API key, not the message: the operator fixes it, and the message is
    retried (SendGrid also responds 401 when credits are used up). Redirects are never followed:
    they would disclose the key or the message.
    """
    delay = _parse_retry_after(retry_after)
    if status in (401, 403):
        return TemporaryFailure("authentication_failed", delay)
    if status == 429:
        return TemporaryFailure("rate_limited", delay)
    if status == 408:
        return TemporaryFailure("timeout", delay)
    if 400 <= status < 500:
        return PermanentFailure("rejected")
    if status >= 500:
        return TemporaryFailure("provider_error", delay)
    return TemporaryFailure("invalid_response")


def classify_exception(error: Exception, deadline: Deadline) -> SendError:
    """Classifies an exception of an SDK's transport: no response, or an invalid one.

    The SDKs wrap errors in errors, so the first cause decides.
    """
    causes = list(_exception_chain(error))
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return TemporaryFailure("timeout")
    if not deadline.connected:
        return TemporaryFailure("connect_failed")
    if any(isinstance(cause, (OSError, http.client.IncompleteRead)) for cause in causes[-1:]):
        return TemporaryFailure("connection_lost")
    return TemporaryFailure("invalid_response")


def sanitize_message_id(value: object) -> str:
    """Returns a provider's message id, '' unless it is short, printable ASCII."""
    is_plain = isinstance(value, str) and value.isascii() and value.isprintable()
    return value if isinstance(value, str) and is_plain and len(value) <= _MAX_ID_LENGTH else ""


def _exception_chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _parse_retry_after(retry_after: str | None) -> float | None:
    """Parses `Retry-After` (RFC 9110 section 10.2.3: seconds or a date) into seconds, at most an
    hour.
    """
    if retry_after is None:
        return None
    try:
        seconds = float(int(retry_after))
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
