"""Cooldowns between the confirmations of a person's address."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now

from domain.model import rate_limit
from domain.model.address import Channel
from domain.model.rate_limit import RateLimit
from domain.postgres.models import Confirmation


def resend_cooldown(person_id: UUID, channel: Channel) -> tuple[timedelta, datetime]:
    """Returns the time until the person may request another message, and the current time."""
    return confirmation_cooldown(
        person_id, channel, RateLimit(settings.MESSAGES_PER_DAY, settings.MESSAGE_COOLDOWN)
    )


def confirmation_cooldown(
    person_id: UUID, channel: Channel, limit: RateLimit
) -> tuple[timedelta, datetime]:
    """Returns the time until the limit allows another confirmation (zero: now), and the current
    time.
    """
    rows = Confirmation.objects.filter(person_id=person_id, channel=channel)
    created = list(rows.annotate(now=Now()).order_by("id").values_list("created_at", "now"))
    now = created[0][1] if created else datetime.now(UTC)
    return rate_limit.retry_after(limit, [created_at for created_at, _ in created], now), now
