"""Sends e-mail through SendGrid's SDK."""

from types import SimpleNamespace
from typing import Any
from urllib.request import Request

from sendgrid import SendGridAPIClient

from workers.messages.message import Message
from workers.providers.base import SENDGRID_REFERENCE_FIELD, sanitize_message_id
from workers.providers.http import DEADLINE, ProviderSession, mute_logger

mute_logger("python_http_client.client")  # at DEBUG it logs the message and the API key


class SendGrid:
    """Sends e-mail."""

    def __init__(self, settings: Any, deadline: float = DEADLINE) -> None:
        """Raises ValueError for a key that no header can hold (usually for a trailing newline)."""
        key = settings.SENDGRID_API_KEY
        if not (key.isascii() and key.isprintable()):
            raise ValueError("the SendGrid API key has characters that cannot be in one")
        self._settings, self._deadline = settings, deadline

    def send(self, message: Message, reference: str = "") -> str:
        """Sends an e-mail; returns its `X-Message-Id`. Raises as `Provider.send`."""
        # One SDK client for each message: threads must not share its headers.
        sdk = SendGridAPIClient(self._settings.SENDGRID_API_KEY, self._settings.SENDGRID_HOST)
        endpoint = sdk.client.mail.send
        endpoint._make_request = self._make_request  # noqa: SLF001  # "so we can mock it easily"
        response = endpoint.post(request_body=self._build_mail(message, reference))
        return sanitize_message_id(response.headers.get("X-Message-Id"))

    def _make_request(self, _opener: object, request: Request, timeout: None) -> Any:
        """Replaces the SDK's use of urllib; returns what the SDK reads of urllib's response."""
        # Only 202 means "queued": 200 is the response of the sandbox, which discards the message.
        with ProviderSession((202,), self._settings.PROVIDER_TIMEOUT, self._deadline) as session:
            response = session.request(
                "POST", request.full_url, data=request.data, headers=request.headers
            )
        return SimpleNamespace(
            getcode=lambda: response.status_code,
            read=lambda: response.content,
            info=lambda: response.headers,
        )

    def _build_mail(self, message: Message, reference: str) -> dict[str, Any]:
        """Returns the body of `POST /v3/mail/send`.

        A tracked link goes through SendGrid, which stores it, and ours holds a token. Tracking that
        is not disabled here depends on the account's settings.
        """
        return {
            "from": {"email": self._settings.EMAIL_FROM, "name": self._settings.SERVICE_NAME},
            "personalizations": [{"to": [{"email": message.to}]}],
            "subject": message.subject,
            "content": [
                {"type": "text/plain", "value": message.text},
                {"type": "text/html", "value": message.html},
            ],
            **({"custom_args": {SENDGRID_REFERENCE_FIELD: reference}} if reference else {}),
            "tracking_settings": {
                "click_tracking": {"enable": False, "enable_text": False},
                "open_tracking": {"enable": False},
                "subscription_tracking": {"enable": False},
                "ganalytics": {"enable": False},
            },
        }
