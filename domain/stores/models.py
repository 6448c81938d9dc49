"""The tables, and the rules of the domain that Postgres can hold by itself."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

CHANNELS = ["email", "phone"]


class Person(models.Model):
    """Somebody who signed up. `version` is raised by every change that a profile shows."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    surname = models.CharField(max_length=100)
    email = models.CharField(max_length=254)
    email_key = models.CharField(max_length=300)  # casefolding may lengthen a text
    phone = models.CharField(max_length=16)
    hobbies = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    phone_verified_at = models.DateTimeField(null=True, blank=True)
    version = models.BigIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "people"
        constraints = [
            # An address belongs to whoever confirmed it; claims to it may be many.
            models.UniqueConstraint(
                fields=["email_key"],
                condition=Q(email_verified_at__isnull=False),
                name="one_owner_of_an_email",
            ),
            models.UniqueConstraint(
                fields=["phone"],
                condition=Q(phone_verified_at__isnull=False),
                name="one_owner_of_a_phone",
            ),
            models.CheckConstraint(condition=Q(version__gte=1), name="version_from_1"),
            models.CheckConstraint(condition=~Q(name="") & ~Q(surname=""), name="names_not_blank"),
            models.CheckConstraint(condition=Q(phone__startswith="+"), name="phone_is_e164"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Session(models.Model):
    """A bearer token that was issued; only its SHA-256 digest is kept."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="sessions")
    digest = models.BinaryField(unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"session {self.pk}"


class Confirmation(models.Model):
    """An address that a person claims. It holds what a code is derived from, and no code."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="confirmations")
    channel = models.CharField(max_length=5, choices=[(c, c) for c in CHANNELS])
    address = models.CharField(max_length=254)
    address_key = models.CharField(max_length=300)
    salt = models.BinaryField()
    key_id = models.BinaryField()
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    first_sent_at = models.DateTimeField(null=True)  # when sending was first attempted
    confirmed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # replaced by a newer one
    void = models.BooleanField(default=False)  # the address is somebody else's

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "channel"],
                condition=Q(confirmed_at__isnull=True, ended_at__isnull=True),
                name="one_open_confirmation_a_channel",
            ),
            models.CheckConstraint(condition=Q(channel__in=CHANNELS), name="known_channel"),
        ]
        indexes = [
            # To void the rival claims when somebody confirms an address.
            models.Index(
                fields=["address_key"],
                condition=Q(confirmed_at__isnull=True, void=False),
                name="open_claims_to_an_address",
            )
        ]

    def __str__(self) -> str:
        return f"confirmation {self.pk}"


class Outbox(models.Model):
    """Work that must follow a commit; open until it is done, whatever dies meanwhile.

    waiting -> queued (handed to Huey) -> working (a worker has it) -> done, failed or dropped;
    or back to waiting, after a failure that may pass. `due_at` is when an open row may be handed
    out (again): the end of its lease while it is queued or working. `lease` names the worker
    that has it, so that one who comes too late cannot close what another has taken over.
    """

    class Kind(models.TextChoices):
        PROFILE = "profile"
        CONFIRMATION = "confirmation"

    class State(models.TextChoices):
        WAITING = "waiting"
        QUEUED = "queued"
        WORKING = "working"
        DONE = "done"
        FAILED = "failed"
        DROPPED = "dropped"

    OPEN = [State.WAITING, State.QUEUED, State.WORKING]

    kind = models.CharField(max_length=12, choices=Kind)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="outbox")
    confirmation = models.ForeignKey(
        Confirmation, on_delete=models.CASCADE, null=True, blank=True, related_name="outbox"
    )
    state = models.CharField(max_length=7, choices=State, default=State.QUEUED)
    due_at = models.DateTimeField()
    lease = models.UUIDField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=40, blank=True)
    provider_id = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "outbox"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="confirmation", confirmation__isnull=False)
                | Q(kind="profile", confirmation__isnull=True),
                name="a_message_is_about_a_confirmation",
            ),
            models.CheckConstraint(
                condition=Q(state="working", lease__isnull=False) | ~Q(state="working"),
                name="a_worker_holds_a_lease",
            ),
        ]
        indexes = [
            models.Index(
                F("due_at"),
                condition=Q(state__in=["waiting", "queued", "working"]),
                name="outbox_due",
            ),
            models.Index(
                F("finished_at"), condition=Q(finished_at__isnull=False), name="outbox_finished"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
