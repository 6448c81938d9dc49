"""Deletes expired rows."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from domain.postgres import models
from domain.postgres.rate_limits import WINDOW
from domain.postgres.repositories.sign_ups import KEY_LIFETIME

_KNOWN_NETWORK_RETENTION = timedelta(days=90)
_OUTBOX_BATCH_SIZE = 10_000  # entries that are deleted in one run


def delete_expired() -> dict[str, int]:
    """Deletes what has expired from each table; returns how many rows."""
    finished = models.OutboxEntry.objects.filter(
        finished_at__lt=Now() - settings.OUTBOX_RETENTION
    ).values("id")[:_OUTBOX_BATCH_SIZE]
    expired = {
        "outbox_entries": models.OutboxEntry.objects.filter(id__in=finished),
        "sessions": models.Session.objects.filter(expires_at__lte=Now()),
        "confirmations": models.Confirmation.objects.filter(
            superseded_at__lt=Now() - settings.OUTBOX_RETENTION
        ),
        "sign_in_challenges": models.SignInChallenge.objects.filter(
            created_at__lt=Now() - timedelta(days=2)
        ),
        "known_networks": models.KnownNetwork.objects.filter(
            last_used_at__lt=Now() - _KNOWN_NETWORK_RETENTION
        ),
        "idempotency_keys": models.IdempotencyKey.objects.filter(
            created_at__lte=Now() - KEY_LIFETIME
        ),
        # Without any: the window of a failure that was taken back, because the code was right.
        "rate_limit_windows": models.RateLimitWindow.objects.alias(
            last_hit=RawSQL("coalesce(hits[cardinality(hits)], '-infinity')", ())
        ).filter(last_hit__lte=Now() - WINDOW),
        "sms_prefix_stats": models.SmsPrefixStats.objects.filter(
            hour_start__lt=Now() - timedelta(days=30)
        ),
    }
    return {name: rows.delete()[0] for name, rows in expired.items()}


def find_unverified(limit: int) -> list[UUID]:
    """Finds people who have not verified an address in time: it may be another person's."""
    rows = models.Person.objects.filter(
        created_at__lt=Now() - settings.UNVERIFIED_RETENTION,
        email_verified_at=None,
        phone_verified_at=None,
    )
    return list(rows.values_list("id", flat=True)[:limit])
