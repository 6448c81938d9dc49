"""Hands messages to a service of the operator's own, by a signed POST (Standard Webhooks).

It sends them however it likes: another provider, WhatsApp, voice; see docs/providers.md.
"""

import time
import uuid
from dataclasses import asdict
from typing import Any

import orjson

from workers.messages.message import Message
from workers.providers.base import sanitize_message_id
from workers.providers.http import DEADLINE, ProviderSession
from workers.providers.standard_webhooks import parse_secret, signed_headers


class Webhook:
    """Sends e-mails and text messages."""

    def __init__(self, settings: Any, deadline: float = DEADLINE) -> None:
        self._settings, self._deadline = settings, deadline
        self._secret = parse_secret(settings.MESSAGE_WEBHOOK_SECRET)

    def send(self, message: Message, reference: str = "") -> str:
        """Posts the message as JSON; returns the `id` of the response, if it has one.

        200, 202 and 204 accept it. Raises as `Provider.send`. A repeated attempt has the same
        `webhook-id`, so the receiver can send the message once.
        """
        body = orjson.dumps(asdict(message) | {"type": "message", "reference": reference})
        now = int(time.time())
        headers = signed_headers(self._secret, reference or str(uuid.uuid4()), now, body)
        timeout = self._settings.PROVIDER_TIMEOUT
        with ProviderSession((200, 202, 204), timeout, self._deadline) as session:
            response = session.request(
                "POST",
                self._settings.MESSAGE_WEBHOOK_URL,
                data=body,
                headers=headers | {"content-type": "application/json"},
            )
        try:
            document = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            return ""  # accepted all the same
        return sanitize_message_id(document.get("id")) if isinstance(document, dict) else ""
