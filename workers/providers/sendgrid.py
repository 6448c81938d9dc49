"""Sends e-mail through SendGrid's SDK, and works around its defects.

The SDK (sendgrid 6.12, python_http_client 3.3) has no timeout, sends the API key to the target of a
redirect, shares its headers between threads, and logs whole messages. SendGrid has no idempotency
key, so a lost response leaves the outcome unknown: nothing is retried here, the outbox decides.
"""

import ssl
import urllib.request
from functools import partial
from http.client import HTTPException, HTTPSConnection
from typing import Any

import python_http_client
import sendgrid
from python_http_client.exceptions import HTTPError
from sendgrid.helpers import mail

from workers.providers.base import Message, SendError
from workers.providers.http import (
    Deadline,
    DeadlineConnection,
    classify_exception,
    classify_status,
    mute_loggers,
    run_with_deadline,
    sanitize_message_id,
)

mute_loggers("python_http_client.client")  # at DEBUG it logs the message and the API key


class SendGrid:
    """Sends e-mail. Threads may share it: each message has its own client."""

    def __init__(
        self,
        *,
        api_key: str,
        from_address: str,
        from_name: str = "",
        host: str = "https://api.sendgrid.com",
        timeout: float = 4.0,
        deadline: float = 8.0,
    ) -> None:
        """`timeout` is for each wait, `deadline` for the whole exchange, both in seconds.

        Raises ValueError for a key that no header can hold (usually for a trailing newline): the
        error at sending would have the key in its text.
        """
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the SendGrid API key has characters that cannot be in one")
        self._api_key, self._host = api_key, host
        self._from_address, self._from_name = from_address, from_name
        self._timeout, self._deadline_seconds = timeout, deadline
        self._tls = ssl.create_default_context()  # loads the certificates once

    def send(self, message: Message) -> str:
        """Sends an e-mail; returns its `X-Message-Id`.

        Raises `TemporaryFailure` or `PermanentFailure`.
        """
        return run_with_deadline(partial(self._send, message), self._deadline_seconds)

    def _send(self, message: Message, deadline: Deadline) -> str | SendError:
        sdk = sendgrid.SendGridAPIClient(self._api_key, host=self._host)
        sdk.client = _Client(
            _build_opener(deadline, self._tls),
            host=self._host,
            request_headers=sdk.client.request_headers,
            version=3,
            timeout=self._timeout,
        )
        try:
            response = sdk.send(self._build_mail(message))
        except HTTPError as error:
            return classify_status(error.status_code, error.headers.get("Retry-After"))
        except (OSError, HTTPException) as error:
            return classify_exception(error, deadline)
        # Only 202 means "queued": 200 is the response of the sandbox, which discards the message.
        if response.status_code != 202:
            return classify_status(response.status_code, None)
        return sanitize_message_id(response.headers.get("X-Message-Id"))

    def _build_mail(self, message: Message) -> mail.Mail:
        email = mail.Mail(
            from_email=_set_address(mail.From(), self._from_address, self._from_name),
            to_emails=_set_address(mail.To(), message.to),
            subject=message.subject,
            plain_text_content=message.text,
            html_content=message.html,
        )
        # A tracked link goes through SendGrid, which stores it, and ours holds a token. What is not
        # disabled here depends on the account's settings.
        email.tracking_settings = mail.TrackingSettings(
            click_tracking=mail.ClickTracking(False, False),
            open_tracking=mail.OpenTracking(False),
            subscription_tracking=mail.SubscriptionTracking(False),
            ganalytics=mail.Ganalytics(False),
        )
        return email


def _set_address(party: Any, address: str, name: str = "") -> Any:
    """Fills a `From` or `To`. Their constructors parse, and lose what they cannot parse."""
    party.email = address
    party.name = name or None
    return party


class _Client(python_http_client.Client):
    """The SDK's HTTP client with an opener that follows no redirects."""

    def __init__(self, opener: urllib.request.OpenerDirector, **options: Any) -> None:
        super().__init__(**options)
        self._opener = opener

    def _build_client(self, name: str | None = None) -> "_Client":
        return _Client(
            self._opener,
            host=self.host,
            request_headers=self.request_headers,
            version=self._version,
            url_path=[*self._url_path, *([name] if name else [])],
            timeout=self.timeout,
        )

    def _make_request(self, opener: object, request: object, timeout: float | None = None) -> Any:
        return super()._make_request(self._opener, request, timeout)


class _DeadlineHTTPSConnection(DeadlineConnection, HTTPSConnection):
    pass


class _HTTPHandler(urllib.request.HTTPHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._connect: Any = partial(DeadlineConnection, deadline=deadline)

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._connect, req)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def __init__(self, deadline: Deadline, tls: ssl.SSLContext) -> None:
        super().__init__(context=tls)
        self._connect: Any = partial(_DeadlineHTTPSConnection, deadline=deadline, context=tls)

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._connect, req)


def _build_opener(deadline: Deadline, tls: ssl.SSLContext) -> urllib.request.OpenerDirector:
    """Builds the opener, without a handler for redirects: a redirect is an error."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _HTTPHandler(deadline),
        _HTTPSHandler(deadline, tls),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener
