"""Selects the provider of a channel by the settings."""

from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from workers import tracing
from workers.messages.message import Message
from workers.providers.base import Provider
from workers.providers.mailbox import FileMailbox

_PROVIDERS = {
    "email": "workers.providers.sendgrid.SendGrid",
    "phone": "workers.providers.vonage.Vonage",
}


@cache
def get_provider(channel: str) -> Provider:
    """Returns the provider for "email" or "phone"; one for the whole process.

    Its SDK is imported on first use: web processes enqueue messages and send none.
    """
    if settings.MESSAGE_BACKEND == "mailbox":
        return _Traced(FileMailbox(settings.MAILBOX_PATH), channel)
    provider: Provider = import_string(_PROVIDERS[channel])(settings)
    return _Traced(provider, channel)


class _Traced:
    """A provider whose calls are spans."""

    def __init__(self, provider: Provider, channel: str) -> None:
        self._provider, self._channel = provider, channel

    def send(self, message: Message, reference: str = "") -> str:
        """Sends the message as the provider does."""
        name = type(self._provider).__name__
        channel: tracing.Attributes = {"rollcall.channel": self._channel}
        with tracing.span(f"send by {name}", "CLIENT", attributes=channel):
            return self._provider.send(message, reference)
