"""What both providers' SDKs lack: an end to every exchange, and one reading of how it went."""

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

from workers.delivery.port import PermanentFailure, SendError, TemporaryFailure

_MAX_RETRY_AFTER = 3600.0
_MAX_ID_LENGTH = 200


def mute_loggers(*loggers: str) -> None:
    """Drop every record of these loggers: SDKs write whole messages and answers into them.

    A filter and not a level, because the filter survives when logging is configured later. It
    holds for the named logger only, not for those below it.
    """
    for name in loggers:
        logging.getLogger(name).addFilter(_drop)


def _drop(record: logging.LogRecord) -> bool:
    return False


# The URLs of requests, told by the transport under Vonage's SDK.
mute_loggers("urllib3.connectionpool")


class Deadline:
    """A bound for a whole exchange: at its end the connection is shut, whatever it is doing.

    A time-out of a socket bounds each wait only; an answer that drips in goes on for ever. The
    connection is watched from its TLS handshake on: looking up the name, connecting and the
    handshake are bounded by the time-out of each step, and a connection that comes after the
    deadline is not used, so nothing is sent by somebody who has been given up.
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
        """Whether a connection was there, so that the message may have gone out."""
        return self._socket is not None

    def register(self, connection: socket.socket) -> None:
        """Shut this connection at the deadline. Raises TimeoutError if that is over."""
        with self._lock:
            if self.expired:
                raise TimeoutError
            self._socket = connection

    def _abort(self) -> None:
        with self._lock:
            self.expired = True
            if self._socket is not None:
                # Past the TLS layer, which is not made to be ended by another thread.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class DeadlineConnection(http.client.HTTPConnection):
    """A connection under a deadline; to be mixed into those of urllib and urllib3."""

    def __init__(self, *args: Any, deadline: Deadline, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = deadline

    def connect(self) -> None:
        """Connect. Raises what connecting raises, and TimeoutError past the deadline."""
        super().connect()
        self._deadline.register(self.sock)


def run_with_deadline(send: Callable[[Deadline], str | SendError], timeout: float) -> str:
    """Run an exchange under a deadline; returns its message id, or raises its failure.

    The failure is raised out here, because one raised inside an `except` would carry the SDK's
    error along as its context, with the message in it. Once the deadline has passed, whatever
    failed was cut off by us: half an answer can look like a whole one.
    """
    with Deadline(timeout) as deadline:
        result = send(deadline)
    if isinstance(result, SendError):
        raise TemporaryFailure("timeout") if deadline.expired else result
    return result


def classify_status(status: int, retry_after: str | None) -> SendError:
    """What an HTTP status other than success means for the message.

    401 and 403 are about our key, not about the message: the operator mends it, and nothing is
    lost meanwhile (SendGrid also says 401 when credits are used up). Redirects are never
    followed: they would show our key, or the message, to somebody else.
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
    """What an exception of an SDK's transport means: no answer, or none that can be read.

    The SDKs wrap errors in errors, so the first cause tells, whichever SDK it came through.
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
    """A provider's message id, fit to be kept: '' unless it is short, plain text."""
    is_plain = isinstance(value, str) and value.isascii() and value.isprintable()
    return value if isinstance(value, str) and is_plain and len(value) <= _MAX_ID_LENGTH else ""


def _exception_chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _parse_retry_after(retry_after: str | None) -> float | None:
    """`Retry-After` (RFC 9110, section 10.2.3: seconds or a date) in seconds, an hour at most."""
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
