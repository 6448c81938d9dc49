"""Selects the provider of a channel by the settings."""

from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

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
        return FileMailbox(settings.MAILBOX_PATH)
    provider: Provider = import_string(_PROVIDERS[channel])(settings)
    return provider
