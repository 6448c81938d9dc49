"""Lets time pass for one person: moves their timestamps in Postgres back."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import DateTimeField, F, QuerySet

from domain.postgres import models
from domain.projection import writer


def advance_time(time: timedelta, person_id: str) -> None:
    """Moves a person's timestamps in Postgres and Redis back by `time`; needs Django."""
    person = models.Person.objects.filter(id=person_id)
    tables: list[QuerySet[Any]] = [
        person,
        models.Session.objects.filter(person_id=person_id),
        models.Confirmation.objects.filter(person_id=person_id),
        models.SignInChallenge.objects.filter(person_id=person_id),
        models.IdempotencyKey.objects.filter(person_id=person_id),
        models.OutboxEntry.objects.filter(person_id=person_id),
    ]
    for rows in tables:
        fields = [f.name for f in rows.model._meta.fields if isinstance(f, DateTimeField)]
        rows.update(**{name: F(name) - time for name in fields})
    person.update(version=F("version") + 1)
    writer.project(UUID(person_id))


def advance_rate_limits(time: timedelta) -> None:
    """Moves all rate-limit hits back in time; they are not stored by person."""
    for row in models.RateLimitWindow.objects.all():
        hits = [hit - time for hit in row.hits]
        models.RateLimitWindow.objects.filter(key=row.key).update(hits=hits)
