"""The outbox: work that follows a commit."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from domain.postgres.models.codes import Confirmation, SignInChallenge
from domain.postgres.models.people import Person


class OutboxEntry(models.Model):
    """Work that follows a commit; unfinished until it is done, whichever process fails.

    queued (in Huey) -> running (claimed by a worker) -> done, failed or discarded; or pending after
    a temporary failure, until it is queued again. `due_at` is when an unfinished entry may be
    dispatched (again): the end of its lease while it is queued or running. `lease_token` identifies
    the worker that has claimed it, so that a late one cannot finish what another has taken over.
    """

    class Kind(models.TextChoices):
        PROJECT_PROFILE = "project_profile"
        CONFIRMATION = "confirmation"
        ADDRESS_CHANGE_NOTICE = "address_change_notice"  # to the address that is to be replaced
        OTHER_CHANNEL_NOTICE = "other_channel_notice"  # of that change, to the other channel
        SIGN_IN_CODE = "sign_in_code"

    class State(models.TextChoices):
        PENDING = "pending"
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        DISCARDED = "discarded"

    UNFINISHED = [State.PENDING, State.QUEUED, State.RUNNING]

    class DeliveryStatus(models.TextChoices):
        NONE = ""
        FAILED = "failed"
        DELIVERED = "delivered"

    kind = models.CharField(max_length=21, choices=Kind)
    # No constraint in the database: the tombstone of an erased person must still be projected, and
    # a sign-in challenge may have no person.
    person = models.ForeignKey(
        Person, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="outbox"
    )
    # Their indexes leave out NULL: each entry would be added to both.
    confirmation = models.ForeignKey(
        Confirmation, models.CASCADE, null=True, related_name="outbox", db_index=False
    )
    sign_in = models.ForeignKey(
        SignInChallenge, models.CASCADE, null=True, related_name="outbox", db_index=False
    )
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    due_at = models.DateTimeField()
    lease_token = models.UUIDField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    reason_code = models.CharField(max_length=40, blank=True)
    quota_used = models.BooleanField(default=False, db_default=False)  # by a notice
    traceparent = models.CharField(max_length=55, null=True)  # W3C's, of the request that caused it
    provider_message_id = models.CharField(max_length=200, blank=True)
    delivery_status = models.CharField(
        max_length=9, choices=DeliveryStatus, blank=True, default="", db_default=""
    )
    delivery_status_at = models.DateTimeField(null=True, blank=True)  # by the provider's clock
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "outbox entries"
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="project_profile", confirmation=None, sign_in=None)
                | Q(
                    kind__in=["confirmation", "address_change_notice", "other_channel_notice"],
                    confirmation__isnull=False,
                )
                | Q(kind="sign_in_code", sign_in__isnull=False),
                name="outbox_kind_refs_check",
            ),
            models.CheckConstraint(
                condition=Q(state="running", lease_token__isnull=False) | ~Q(state="running"),
                name="outbox_running_lease_check",
            ),
        ]
        indexes = [
            models.Index(
                F("due_at"),
                condition=Q(state__in=["pending", "queued", "running"]),
                name="outbox_due_at_idx",
            ),
            # For the metrics: the oldest of a kind, and how many are older than they should be.
            models.Index(
                fields=["kind", "created_at"],
                condition=Q(state__in=["pending", "queued", "running"]),
                name="outbox_created_at_idx",
            ),
            models.Index(
                F("finished_at"),
                condition=Q(finished_at__isnull=False),
                name="outbox_finished_at_idx",
            ),
            models.Index(F("finished_at"), condition=Q(state="failed"), name="outbox_failed_idx"),
            models.Index(
                F("provider_message_id"),
                condition=~Q(provider_message_id=""),
                name="outbox_provider_msg_id_idx",
            ),
            models.Index(
                fields=["confirmation"],
                condition=Q(confirmation__isnull=False),
                name="outbox_confirmation_idx",
            ),
            models.Index(
                fields=["sign_in"], condition=Q(sign_in__isnull=False), name="outbox_sign_in_idx"
            ),
        ]
