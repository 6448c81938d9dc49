"""Sends text messages through Vonage's SDK. Vonage reports errors in the body of a 200."""

from contextlib import suppress
from importlib.metadata import version
from typing import Any

import requests
from vonage_http_client import Auth, HttpClient, HttpClientOptions
from vonage_sms import Sms, SmsError, SmsMessage

from workers.messages.gsm7 import is_gsm7
from workers.messages.message import Message
from workers.providers.base import PermanentFailure, TemporaryFailure, sanitize_message_id
from workers.providers.http import DEADLINE, ProviderSession, mute_logger

mute_logger("vonage")  # at DEBUG it logs the message, at WARNING the response

# https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms, "SMS API error codes".
# About the number or the text, so that no retry can succeed:
#   3 invalid parameters, 6 unroutable, 7 number barred, 12 too long, 22 no such network,
#   33 number de-activated
_PERMANENT_STATUSES = frozenset({"3", "6", "7", "12", "22", "33"})
# All others are retried. About the account or its settings, which the operator fixes:
#   4, 8, 11, 14, 32 key, account barred or without this API, signature; 9, 29 no credit;
#   2, 15, 23 a missing parameter, a sender that is not allowed (there), call-back URL
_TEMPORARY_STATUSES = {
    **dict.fromkeys(("1", "10"), "rate_limited"),
    **dict.fromkeys(("4", "8", "11", "14", "32"), "authentication_failed"),
    **dict.fromkeys(("9", "29"), "provider_quota_exceeded"),
    **dict.fromkeys(("2", "15", "23"), "misconfigured"),
}


class Vonage:
    """Sends text messages, always over HTTPS."""

    def __init__(self, settings: Any, deadline: float = DEADLINE) -> None:
        self._settings, self._deadline = settings, deadline
        self._auth = Auth(api_key=settings.VONAGE_API_KEY, api_secret=settings.VONAGE_API_SECRET)
        self._options = HttpClientOptions(rest_host=settings.VONAGE_HOST)

    def send(self, message: Message, reference: str = "") -> str:
        """Sends a text message; returns the `message-id` of its (first) part.

        Raises as `Provider.send`.
        """
        sms = SmsMessage(
            to=message.to.removeprefix("+"),
            from_=self._settings.SMS_FROM,
            text=message.text,
            type="text" if is_gsm7(message.text) else "unicode",
            client_ref=reference or None,
        )
        client = HttpClient(self._auth, self._options, version("vonage"))
        session = ProviderSession((200,), self._settings.PROVIDER_TIMEOUT, self._deadline)
        client._session = session  # noqa: SLF001  # the SDK has no parameter for it
        # The SDK's own parsing is ignored: it requires a text with every error, fails on what is
        # not JSON, and reports the codes in prose only.
        with session, suppress(SmsError, LookupError, TypeError, ValueError):
            Sms(client).send(sms)
        return _parse_response(client.last_response)


def _parse_response(response: requests.Response) -> str:
    """Returns the message id of a 200 with any body. Raises `SendError`."""
    statuses: list[str] = []
    with suppress(LookupError, TypeError, ValueError):
        parts = response.json()["messages"]
        statuses = [str(part["status"]) for part in parts]
    if not statuses:
        raise TemporaryFailure("invalid_response")
    failed = [status for status in statuses if status != "0"]
    if not failed:
        return sanitize_message_id(parts[0].get("message-id"))
    if failed[0] in _PERMANENT_STATUSES:
        raise PermanentFailure("rejected")
    raise TemporaryFailure(_TEMPORARY_STATUSES.get(failed[0], "provider_error"))
