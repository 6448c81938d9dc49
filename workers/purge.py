"""Deletes what has served its time, from Postgres and from Redis."""

from contextlib import suppress

import structlog
from django.conf import settings
from django.db.models.functions import Now

from domain.commands import people
from domain.errors import Unavailable
from domain.limits import DAY
from domain.stores import models, outbox, profiles, sms, tallies
from domain.stores.unit_of_work import unit_of_work

log = structlog.get_logger(__name__)

_MOST = 1_000  # people that are forgotten in one run


def run() -> None:
    """One run. It logs how much of what was deleted."""
    old = Now() - settings.OUTBOX_KEPT
    rows = {
        "people": _forget_unconfirmed(),
        "outbox": outbox.purge(settings.OUTBOX_KEPT),
        "sessions": models.Session.objects.filter(expires_at__lte=Now()).delete()[0],
        "confirmations": models.Confirmation.objects.filter(ended_at__lt=old).delete()[0],
        "sign_ins": models.SignIn.objects.filter(created_at__lt=Now() - 2 * DAY).delete()[0],
        "keys": models.IdempotencyKey.objects.filter(created_at__lte=Now() - DAY).delete()[0],
        "tallies": tallies.purge(),
        "text_messages": sms.purge(),
    }
    log.info("purged", **rows)


def _forget_unconfirmed() -> int:
    """Forget people who never confirmed anything: their addresses may be somebody else's."""
    found = models.Person.objects.filter(
        created_at__lt=Now() - settings.UNCONFIRMED_KEPT,
        email_verified_at=None,
        phone_verified_at=None,
    ).values_list("id", flat=True)
    count = 0
    for person_id in found[:_MOST]:
        committed = people.forget(person_id, unit_of_work, unless_confirmed=True)
        if committed is not None:
            # At once if Redis is there; else the outbox row has it done.
            with suppress(Unavailable):
                profiles.publish(committed.person)
            count += 1
    return count
