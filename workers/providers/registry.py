"""Selects the provider of a channel by the settings."""

from functools import cache

from django.conf import settings

from workers.providers import Provider
from workers.providers.mailbox import FileMailbox


@cache
def get_provider(channel: str) -> Provider:
    """Returns the provider for "email" or "phone"; one for the whole process.

    The SDKs are imported on first use: web processes enqueue messages and send none.
    """
    if settings.MESSAGE_BACKEND == "mailbox":
        return FileMailbox(settings.MAILBOX_PATH)
    if channel == "email":
        from workers.providers.sendgrid import SendGrid

        return SendGrid(
            api_key=settings.SENDGRID_API_KEY,
            from_address=settings.EMAIL_FROM,
            from_name=settings.SERVICE_NAME,
            host=settings.SENDGRID_HOST,
            timeout=settings.PROVIDER_TIMEOUT,
        )
    from workers.providers.vonage import Vonage

    return Vonage(
        api_key=settings.VONAGE_API_KEY,
        api_secret=settings.VONAGE_API_SECRET,
        sender=settings.SMS_FROM,
        host=settings.VONAGE_HOST,
        timeout=settings.PROVIDER_TIMEOUT,
    )
