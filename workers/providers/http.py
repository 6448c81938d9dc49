"""The HTTP session that the providers' SDKs send with.

By themselves the SDKs have no timeout, follow redirects, which discloses the message or the key,
and Vonage's repeats a POST when the connection drops, which sends the message twice.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cache
from http.client import IncompleteRead
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from workers.providers.base import PermanentFailure, SendError, TemporaryFailure

DEADLINE = 8.0
_MAX_RETRY_AFTER = 3600.0
# 401 and 403 are about the API key, not the message: the operator fixes it, and the message is
# retried (SendGrid also responds 401 when credits are used up).
_TEMPORARY_STATUSES = {
    401: "authentication_failed",
    403: "authentication_failed",
    408: "timeout",
    429: "rate_limited",
}


def mute_logger(name: str) -> None:
    """Drops every record of a logger, but not of its children: SDKs log messages and responses.

    A filter and not a level, because filters survive when logging is configured later.
    """
    logging.getLogger(name).addFilter(lambda _: False)


mute_logger("urllib3.connectionpool")  # logs URLs


class ProviderSession(requests.Session):
    """Sends one request on a connection of its own: once, without redirects, within a deadline.

    A kept connection may have been closed as idle by the server, and a message that fails on it
    cannot be distinguished from one that was sent.
    """

    def __init__(
        self, success: Collection[int], timeout: float, deadline: float = DEADLINE
    ) -> None:
        """`success` are the statuses of success; `timeout` is for each wait, `deadline` for the
        whole exchange, both in seconds.
        """
        super().__init__()
        self._success, self._timeout = success, timeout
        self._expires_at = time.monotonic() + deadline
        self._timer: threading.Timer | None = None
        self.auth = lambda request: request  # else ~/.netrc may replace the provider's key
        for scheme in ("http://", "https://"):
            self.mount(scheme, Adapter(self.limit_connection))

    def request(self, method: Any, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]  # all other parameters are options
        """Returns the response of a success; raises `SendError` for all else."""
        options |= {"timeout": self._timeout, "allow_redirects": False}
        result: requests.Response | SendError
        try:
            result = super().request(method, url, **options)
        except OSError as error:  # as all errors of requests are
            result = classify_exception(error, connected=self._timer is not None)
        finally:
            if self._timer is not None:
                self._timer.cancel()
        # Raised here, because an error raised inside an `except` would have the transport's error
        # as its context. Past the deadline a truncated response can look like a complete one.
        if time.monotonic() >= self._expires_at:
            raise TemporaryFailure("timeout")
        if isinstance(result, SendError):
            raise result
        if result.status_code not in self._success:
            raise _classify_status(result)
        return result

    def limit_connection(self, connection: socket.socket) -> None:
        """Shuts a new connection down at the deadline. Raises TimeoutError if that has expired.

        A socket timeout bounds each wait only; a response that trickles in can go on for ever. Name
        lookup (by the resolver's own timeout), connecting and the TLS handshake come before: if
        they took too long, nothing is sent.
        """
        remaining = self._expires_at - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._timer = threading.Timer(remaining, shut_down, [connection])
        self._timer.daemon = True
        self._timer.start()


def shut_down(connection: socket.socket) -> None:
    """Ends what another thread does on a connection: it gets an error."""
    # Below the TLS layer, whose methods are not safe to call from another thread.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Adapter(HTTPAdapter):
    """The transport of requests, which reports connections, and reads certificates only once."""

    def __init__(self, on_connect: Callable[[socket.socket], None]) -> None:
        super().__init__()
        self._on_connect = on_connect

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Prepares the connection pool of a request: requests calls this before it connects."""
        on_connect, connection_class = self._on_connect, conn.ConnectionCls
        if hasattr(connection_class, "is_reported"):
            return  # the pool was prepared for an earlier request

        class Connection(connection_class):  # type: ignore[misc, valid-type]
            is_reported = True

            def connect(self) -> None:
                super().connect()
                on_connect(self.sock)

        conn.ConnectionCls = Connection
        if conn.scheme == "https":
            conn.ca_certs = None
            conn.conn_kw["ssl_context"] = tls_context(
                verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
            )


@cache
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Reads the certificates, which takes 20 ms of CPU. `REQUESTS_CA_BUNDLE` names others."""
    return ssl.create_default_context(cafile=ca_file)


def _classify_status(response: requests.Response) -> SendError:
    """Classifies a response other than success."""
    status, delay = response.status_code, parse_retry_after(response.headers.get("Retry-After"))
    if status < 400:
        return TemporaryFailure("invalid_response")
    code = "provider_error" if status >= 500 else _TEMPORARY_STATUSES.get(status)
    return TemporaryFailure(code, delay) if code else PermanentFailure("rejected")


def classify_exception(error: BaseException, *, connected: bool) -> SendError:
    """Classifies an error of the transport. Errors wrap errors, and the first cause decides."""
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return TemporaryFailure("timeout")
    if not connected:
        return TemporaryFailure("connect_failed")
    if isinstance(causes[-1], (OSError, IncompleteRead)):
        return TemporaryFailure("connection_lost")
    return TemporaryFailure("invalid_response")


def parse_retry_after(value: str | None) -> float | None:
    """Converts `Retry-After` (RFC 9110 section 10.2.3) to seconds, at most an hour."""
    try:
        return min(Retry().parse_retry_after(value or ""), _MAX_RETRY_AFTER)
    except (InvalidHeader, ValueError, OverflowError):
        return None
