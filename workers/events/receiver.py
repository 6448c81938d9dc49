"""One connection to the operator's webhook, which is kept between two events.

A kept connection may have been closed by the receiver, and an event that fails on it may have been
received: it is repeated, with the same id.
"""

import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from socket import socket

import requests
from urllib3.exceptions import HTTPError

from workers.providers.base import SendError, TemporaryFailure
from workers.providers.http import (
    Adapter,
    classify_exception,
    parse_retry_after,
    shut_down,
)
from workers.providers.standard_webhooks import signed_headers

_MAX_RESPONSE_BYTES = 64 * 1024
# Seconds for which an unused connection is kept: a firewall may have dropped it without a word, and
# an event on it would wait for its whole timeout.
_MAX_IDLE = 30.0


class Receiver:
    """Posts events, one after another, each within a deadline."""

    def __init__(self, url: str, secrets: Sequence[bytes], timeout: float) -> None:
        self._url, self._secrets, self._timeout = url, secrets, timeout
        self._socket: socket | None = None
        self._expires_at: float | None = None
        self._used_at = time.monotonic()
        self._session = requests.Session()
        self._session.auth = lambda request: request  # else ~/.netrc may set a header
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))  # keeps none
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, Adapter(self._on_connect))

    def send(self, message_id: str, body: bytes) -> None:
        """Posts an event; returns when it was accepted, by any 2xx. Raises `SendError`."""
        now = time.monotonic()
        if now - self._used_at > _MAX_IDLE:
            self.close()
        self._used_at, self._expires_at = now, now + self._timeout
        error: SendError | None = None
        try:
            error = self._post(body, self._sign(message_id, body))
        # requests lets errors of the layers below through, if they come while the body is read.
        except (OSError, HTTPError, HTTPException, ValueError) as failure:
            error = classify_exception(failure, connected=self._socket is not None)
        finally:
            is_late = time.monotonic() >= self._expires_at
            self._expires_at = None
        # Past the deadline a truncated response can look like a complete one.
        if is_late:
            error = TemporaryFailure("timeout")
        if error is not None:
            self.close()
            raise error

    def abort_if_late(self, now: float) -> None:
        """Ends an exchange whose deadline is before `now`: the thread in `send` gets an error. For
        another thread, which calls this regularly.
        """
        expires_at, connection = self._expires_at, self._socket
        if expires_at is not None and expires_at <= now and connection is not None:
            shut_down(connection)

    def close(self) -> None:
        """Closes the connection; the next event opens another one."""
        self._session.close()
        self._socket = None

    def _post(self, body: bytes, headers: Mapping[str, str]) -> SendError | None:
        with self._session.post(
            self._url,
            data=body,
            headers=headers,
            timeout=self._timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            # A connection is kept only if all of the response was read.
            response.raw.read(_MAX_RESPONSE_BYTES)
            status, retry_after = response.status_code, response.headers.get("Retry-After")
        if 200 <= status < 300:
            return None
        return TemporaryFailure(f"status_{status}", parse_retry_after(retry_after))

    def _sign(self, message_id: str, body: bytes) -> dict[str, str]:
        """Returns the headers, with a signature by each secret, separated by spaces."""
        now = int(time.time())
        signed = [signed_headers(secret, message_id, now, body) for secret in self._secrets]
        signatures = " ".join(each["webhook-signature"] for each in signed)
        return signed[0] | {"webhook-signature": signatures, "content-type": "application/json"}

    def _on_connect(self, connection: socket) -> None:
        """Raises TimeoutError, before anything is sent, if connecting took too long."""
        self._socket = connection
        if self._expires_at is not None and time.monotonic() >= self._expires_at:
            raise TimeoutError
