"""Events: what the operator's webhook receives of changes."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Event(models.Model):
    """A change of a person that the operator's webhook receives, after those of the same person
    with smaller ids. It has no personal data, and outlives its person.

    pending -> delivered or failed; `lease_token` identifies the process that delivers it, until
    `due_at`. Most columns have their defaults in the table: a sign-up inserts four of them.
    """

    class Kind(models.TextChoices):
        PERSON_CREATED = "person.created"
        EMAIL_CONFIRMED = "email.confirmed"
        PHONE_CONFIRMED = "phone.confirmed"
        PROFILE_CHANGED = "profile.changed"
        SESSION_REVOKED = "session.revoked"
        PERSON_DELETED = "person.deleted"

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    kind = models.CharField(max_length=15, choices=Kind)
    person_id = models.UUIDField()
    version = models.BigIntegerField()  # of the person since this change
    session_id = models.UUIDField(null=True, blank=True)  # the public id of a session that ended
    state = models.CharField(
        max_length=9, choices=State, default=State.PENDING, db_default=State.PENDING
    )
    due_at = models.DateTimeField(db_default=Now())
    lease_token = models.UUIDField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    reason_code = models.CharField(max_length=40, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    first_attempted_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["due_at", "id"], condition=Q(state="pending"), name="event_due_at_idx"
            ),
            # For a person's first pending event, and for all of a person's.
            models.Index(fields=["person_id", "state", "id"], name="event_person_idx"),
            # For the oldest pending one, those that failed last, and all since a time.
            models.Index(fields=["state", "created_at"], name="event_state_created_at_idx"),
            models.Index(
                fields=["finished_at"],
                condition=Q(finished_at__isnull=False),
                name="event_finished_at_idx",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
