"""How long must pass until another confirmation of a person's address may be opened."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now

from domain import limits
from domain.address import Channel
from domain.limits import Rule
from domain.stores.models import Confirmation


def of_resend(person_id: UUID, channel: Channel) -> tuple[timedelta, datetime]:
    """The pause before a person may ask for another message, and the moment it is counted from."""
    return of(person_id, channel, Rule(settings.MESSAGES_A_DAY, settings.MESSAGE_PAUSE))


def of(person_id: UUID, channel: Channel, rule: Rule) -> tuple[timedelta, datetime]:
    """The pause that a rule demands (zero: none), and the moment it is counted from."""
    rows = Confirmation.objects.filter(person_id=person_id, channel=channel)
    found = list(rows.annotate(now=Now()).order_by("id").values_list("created_at", "now"))
    now = found[0][1] if found else datetime.now(UTC)
    return limits.wait(rule, [made for made, _ in found], now), now
