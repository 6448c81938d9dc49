"""Deletes expired rows and unverified people."""

from contextlib import suppress
from datetime import timedelta

import structlog
from django.conf import settings
from django.db.models.functions import Now

from domain.commands import accounts
from domain.model.errors import ServiceUnavailable
from domain.postgres import models, outbox, rate_limits, sms_quotas
from domain.postgres.repositories.sign_ups import KEY_LIFETIME
from domain.postgres.unit_of_work import unit_of_work
from domain.projection import writer

log = structlog.get_logger(__name__)

_BATCH_SIZE = 1_000  # people that are erased in one run


def purge_expired() -> None:
    """Runs once, and logs how many rows were deleted by table."""
    retention_start = Now() - settings.OUTBOX_RETENTION
    tables = {
        "people": _erase_unverified(),
        "outbox_entries": outbox.delete_finished(settings.OUTBOX_RETENTION),
        "sessions": models.Session.objects.filter(expires_at__lte=Now()).delete()[0],
        "confirmations": models.Confirmation.objects.filter(
            superseded_at__lt=retention_start
        ).delete()[0],
        "sign_in_challenges": models.SignInChallenge.objects.filter(
            created_at__lt=Now() - timedelta(days=2)
        ).delete()[0],
        "idempotency_keys": models.IdempotencyKey.objects.filter(
            created_at__lte=Now() - KEY_LIFETIME
        ).delete()[0],
        "rate_limit_windows": rate_limits.delete_expired(),
        "sms_prefix_stats": sms_quotas.delete_old_stats(),
    }
    log.info("purge_completed", tables=tables)


def _erase_unverified() -> int:
    """Erases people who never verified an address: it may be another person's."""
    person_ids = models.Person.objects.filter(
        created_at__lt=Now() - settings.UNVERIFIED_RETENTION,
        email_verified_at=None,
        phone_verified_at=None,
    ).values_list("id", flat=True)
    count = 0
    for person_id in person_ids[:_BATCH_SIZE]:
        result = accounts.erase_person(person_id, unit_of_work, only_if_unverified=True)
        if result is not None:
            # At once if Redis is available; else the outbox entry completes it.
            with suppress(ServiceUnavailable):
                writer.write_profile(result.person)
            count += 1
    return count
