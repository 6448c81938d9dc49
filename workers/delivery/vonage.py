"""Text messages through Vonage's own SDK, with the traps in it mended.

As delivered (vonage 4.9, vonage-http-client 1.5) it waits for ever, posts a message again for
each place in its pool when the connection drops (ten times), follows redirects, and logs
messages and answers. Its sessions are not made for threads. And Vonage says in the body of a
200 what went wrong.
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

from workers.delivery.exchange import (
    Deadline,
    Watched,
    carry_out,
    failure_of_error,
    failure_of_status,
    message_id,
    silence,
)
from workers.delivery.gsm7 import gsm7_septets
from workers.delivery.port import DeliveryFailed, Message, Refused, TryAgain

silence("vonage")  # at DEBUG it logs the message, at WARNING the provider's answer to it

# https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms, "SMS API error codes".
# About this number or this text, so that no later try can work:
#   3 invalid parameters, 6 unroutable, 7 number barred, 12 too long, 22 no such network,
#   33 number de-activated
_FINAL = frozenset({"3", "6", "7", "12", "22", "33"})
_LATER = {
    "1": "rate_limited",
    "10": "rate_limited",  # too many connections
    "5": "provider_error",
    # About our account or our settings: the operator mends them, and nothing is lost meanwhile.
    "4": "credentials_refused",
    "8": "credentials_refused",  # account barred
    "11": "credentials_refused",  # account without this API
    "14": "credentials_refused",  # signature
    "32": "credentials_refused",  # signature and secret at once
    "9": "quota_exceeded",
    "29": "quota_exceeded",  # demo account, to be topped up
    "2": "misconfigured",  # a parameter is missing
    "15": "misconfigured",  # sender not allowed (there)
    "23": "misconfigured",  # call-back URL
}


class Vonage:
    """A delivery for text messages. Threads may share it: each message has its own client.

    So each has a new connection, too. One that was kept might have been closed by the other
    side as idle, and a message that fails on it cannot be told from one that was sent.
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
        """`timeout` (whole seconds, rounded up) is for each wait, `deadline` for all of it.

        The SDK speaks HTTPS only; `REQUESTS_CA_BUNDLE` names the authority of a stand-in.
        """
        self._auth = Auth(api_key=api_key, api_secret=api_secret)
        # With a pool of one the SDK's own loop tries once, on every kind of error.
        self._options = HttpClientOptions(
            rest_host=host, timeout=ceil(timeout), pool_maxsize=1, max_retries=0
        )
        self._sender = sender
        self._seconds = deadline

    def send(self, message: Message) -> str:
        """Hand a text message to Vonage; returns the `message-id` of its (first) part.

        Raises `TryAgain` or `Refused`.
        """
        return carry_out(partial(self._exchange, message), self._seconds)

    def _exchange(self, message: Message, deadline: Deadline) -> str | DeliveryFailed:
        sms = SmsMessage(
            to=message.to.removeprefix("+"),
            from_=self._sender,
            text=message.text,
            type="text" if gsm7_septets(message.text) is not None else "unicode",
        )
        with _Client(self._auth, self._options, deadline) as client:
            # What the SDK makes of the answer is not of use: it wants an error text with every
            # error, stumbles over what is not JSON, and tells the codes in prose only.
            with suppress(HttpRequestError, SmsError, LookupError, TypeError, ValueError):
                try:
                    Sms(client).send(sms)
                except requests.TooManyRedirects:
                    return TryAgain("bad_answer")
                except requests.RequestException as error:
                    return failure_of_error(error, deadline)
            return _reading(client.last_response)


def _reading(answer: requests.Response) -> str | DeliveryFailed:
    """The message's id, or what went wrong, from an answer with any status and any body."""
    if answer.status_code != 200:
        return failure_of_status(answer.status_code, answer.headers.get("Retry-After"))
    try:
        parts = answer.json()["messages"]
        statuses = [str(part["status"]) for part in parts]
        first_id = parts[0].get("message-id")
    except (LookupError, TypeError, ValueError, AttributeError):
        return TryAgain("bad_answer")
    failed = [status for status in statuses if status != "0"]
    if not failed:
        return message_id(first_id)
    if failed[0] in _FINAL:
        return Refused("refused")
    return TryAgain(_LATER.get(failed[0], "provider_error"))


class _Client(HttpClient):
    """The SDK's HTTP client for one message: it follows no redirect and ends at a deadline."""

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
        pool.ConnectionCls = partial(_WatchedTLS, deadline=self._deadline)
        return pool


class _WatchedTLS(Watched, urllib3.connection.HTTPSConnection):
    pass
