"""Sends text messages through Vonage's SDK, and works around its defects.

The SDK (vonage 4.9, vonage-http-client 1.5) has no timeout, repeats a POST for each place in its
pool when the connection drops (ten times), follows redirects, logs messages and responses, and its
sessions are not thread-safe. Vonage reports errors in the body of a 200.
"""

from contextlib import suppress
from functools import partial
from importlib.metadata import version
from math import ceil
from typing import Any, Self

import requests
import urllib3.connection
from requests.adapters import HTTPAdapter
from vonage_http_client import Auth, HttpClient, HttpClientOptions
from vonage_http_client.errors import HttpRequestError
from vonage_sms import Sms, SmsError, SmsMessage

from workers.messages.gsm7 import gsm7_septets
from workers.providers.base import Message, PermanentFailure, SendError, TemporaryFailure
from workers.providers.http import (
    Deadline,
    DeadlineConnection,
    classify_exception,
    classify_status,
    mute_loggers,
    run_with_deadline,
    sanitize_message_id,
)

mute_loggers("vonage")  # at DEBUG it logs the message, at WARNING the response

# https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms, "SMS API error codes".
# About the number or the text, so that no retry can succeed:
#   3 invalid parameters, 6 unroutable, 7 number barred, 12 too long, 22 no such network,
#   33 number de-activated
_PERMANENT_STATUSES = frozenset({"3", "6", "7", "12", "22", "33"})
_TEMPORARY_STATUSES = {
    "1": "rate_limited",
    "10": "rate_limited",  # too many connections
    "5": "provider_error",
    # About the account or its settings: the operator fixes them, and the message is retried.
    "4": "authentication_failed",
    "8": "authentication_failed",  # account barred
    "11": "authentication_failed",  # account without this API
    "14": "authentication_failed",  # signature
    "32": "authentication_failed",  # signature and secret at once
    "9": "provider_quota_exceeded",
    "29": "provider_quota_exceeded",  # demo account without credit
    "2": "misconfigured",  # a parameter is missing
    "15": "misconfigured",  # sender not allowed (there)
    "23": "misconfigured",  # call-back URL
}


class Vonage:
    """Sends text messages. Threads may share it: each message has its own client.

    So each has a new connection, too. The server may close a kept connection as idle, and a message
    that fails on it cannot be told from one that was sent.
    """

    def __init__(
        self,
        *,
        api_key: str,
        api_secret: str,
        sender: str,
        host: str = "rest.nexmo.com",
        timeout: float = 4.0,
        deadline: float = 8.0,
    ) -> None:
        """`timeout` (whole seconds, rounded up) is for each wait, `deadline` for the whole
        exchange.

        The SDK uses HTTPS only; `REQUESTS_CA_BUNDLE` names the CA of a fake provider.
        """
        self._auth = Auth(api_key=api_key, api_secret=api_secret)
        # With a pool of one the SDK's retry loop runs once, for every kind of error.
        self._options = HttpClientOptions(
            rest_host=host, timeout=ceil(timeout), pool_maxsize=1, max_retries=0
        )
        self._sender = sender
        self._deadline_seconds = deadline

    def send(self, message: Message) -> str:
        """Sends a text message; returns the `message-id` of its (first) part.

        Raises `TemporaryFailure` or `PermanentFailure`.
        """
        return run_with_deadline(partial(self._send, message), self._deadline_seconds)

    def _send(self, message: Message, deadline: Deadline) -> str | SendError:
        sms = SmsMessage(
            to=message.to.removeprefix("+"),
            from_=self._sender,
            text=message.text,
            type="text" if gsm7_septets(message.text) is not None else "unicode",
        )
        with _Client(self._auth, self._options, deadline) as client:
            # The SDK's own parsing is ignored: it requires a text with every error, fails on what
            # is not JSON, and reports the codes in prose only.
            with suppress(HttpRequestError, SmsError, LookupError, TypeError, ValueError):
                try:
                    Sms(client).send(sms)
                except requests.TooManyRedirects:
                    return TemporaryFailure("invalid_response")
                except requests.RequestException as error:
                    return classify_exception(error, deadline)
            return _parse_response(client.last_response)


def _parse_response(response: requests.Response) -> str | SendError:
    """Returns the message id, or the failure, from a response with any status and body."""
    if response.status_code != 200:
        return classify_status(response.status_code, response.headers.get("Retry-After"))
    try:
        parts = response.json()["messages"]
        statuses = [str(part["status"]) for part in parts]
        first_id = parts[0].get("message-id")
    except (LookupError, TypeError, ValueError, AttributeError):
        return TemporaryFailure("invalid_response")
    failed = [status for status in statuses if status != "0"]
    if not failed:
        return sanitize_message_id(first_id)
    if failed[0] in _PERMANENT_STATUSES:
        return PermanentFailure("rejected")
    return TemporaryFailure(_TEMPORARY_STATUSES.get(failed[0], "provider_error"))


class _Client(HttpClient):
    """The SDK's HTTP client for one message, without redirects and with a deadline."""

    def __init__(self, auth: Auth, options: HttpClientOptions, deadline: Deadline) -> None:
        super().__init__(auth, options, version("vonage"))
        self._session.max_redirects = 0
        self._session.mount("https://", _Adapter(deadline))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()


class _Adapter(HTTPAdapter):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)
        self._deadline = deadline

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        pool.ConnectionCls = partial(_DeadlineHTTPSConnection, deadline=self._deadline)
        return pool


class _DeadlineHTTPSConnection(DeadlineConnection, urllib3.connection.HTTPSConnection):
    pass
