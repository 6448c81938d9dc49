"""Selects the provider of a channel by the settings."""

from functools import cache
from time import perf_counter

from django.conf import settings
from django.utils.module_loading import import_string

from domain.metrics.registry import PROVIDER_REQUEST_DURATION, PROVIDER_REQUESTS, SMS_SEGMENTS
from workers import tracing
from workers.messages.gsm7 import count_segments
from workers.messages.message import Message
from workers.providers.base import PermanentFailure, Provider, SendError
from workers.providers.mailbox import FileMailbox

# By the words of EMAIL_PROVIDER and SMS_PROVIDER, which settings/messages.py lists too.
_PROVIDERS = {
    "sendgrid": "workers.providers.sendgrid.SendGrid",
    "smtp": "workers.providers.smtp.Smtp",
    "vonage": "workers.providers.vonage.Vonage",
    "webhook": "workers.providers.webhook.Webhook",
}


@cache
def get_provider(channel: str) -> Provider:
    """Returns the provider for "email" or "phone"; one for the whole process.

    Its SDK is imported on first use: web processes enqueue messages and send none.
    """
    if settings.MESSAGE_BACKEND == "mailbox":
        return _ObservedProvider("mailbox", FileMailbox(settings.MAILBOX_PATH))
    name = settings.EMAIL_PROVIDER if channel == "email" else settings.SMS_PROVIDER
    return _ObservedProvider(name, import_string(_PROVIDERS[name])(settings))


class _ObservedProvider:
    """A provider whose requests are spans, and counted by outcome; their reasons are our codes."""

    def __init__(self, name: str, provider: Provider) -> None:
        self._name, self._provider = name, provider

    def send(self, message: Message, reference: str = "") -> str:
        """Does what `Provider.send` does."""
        started_at = perf_counter()
        outcome = "failed", "task_failed"
        try:
            with tracing.span(f"send by {self._name}", "CLIENT"):
                message_id = self._provider.send(message, reference)
            outcome = "accepted", ""
            if message.channel == "phone":
                SMS_SEGMENTS.labels(self._name).inc(count_segments(message.text))
        except SendError as error:
            is_final = isinstance(error, PermanentFailure)
            outcome = "refused" if is_final else "failed", error.code
            raise
        finally:
            PROVIDER_REQUESTS.labels(self._name, *outcome).inc()
            duration = PROVIDER_REQUEST_DURATION.labels(self._name)
            duration.observe(perf_counter() - started_at)
        return message_id
