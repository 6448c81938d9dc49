"""The tables, and the rules of the domain that Postgres can enforce."""

import uuid
from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

CHANNELS = ["email", "phone"]


class Person(models.Model):
    """A person. Every change that a profile shows raises `version`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    surname = models.CharField(max_length=100)
    email = models.CharField(max_length=254)
    email_canonical = models.CharField(max_length=300)  # case folding may lengthen a text
    phone = models.CharField(max_length=16)
    hobbies = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    locale = models.CharField(max_length=8, null=True, blank=True)  # of messages; None: the default
    email_verified_at = models.DateTimeField(null=True, blank=True)
    phone_verified_at = models.DateTimeField(null=True, blank=True)
    # When the owner of the address first signed in with it; see `repositories.sessions`.
    email_first_sign_in_at = models.DateTimeField(null=True, editable=False)
    phone_first_sign_in_at = models.DateTimeField(null=True, editable=False)
    version = models.BigIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "people"
        constraints = [
            # Only one person may have verified an address; claims to it may be many.
            models.UniqueConstraint(
                fields=["email_canonical"],
                condition=Q(email_verified_at__isnull=False),
                name="person_verified_email_uniq",
            ),
            models.UniqueConstraint(
                fields=["phone"],
                condition=Q(phone_verified_at__isnull=False),
                name="person_verified_phone_uniq",
            ),
            models.CheckConstraint(condition=Q(version__gte=1), name="person_version_check"),
            models.CheckConstraint(
                condition=~Q(name="") & ~Q(surname=""), name="person_names_check"
            ),
            models.CheckConstraint(condition=Q(phone__startswith="+"), name="person_phone_check"),
        ]
        indexes = [
            models.Index(fields=["created_at"], name="person_created_at_idx"),  # the admin's
            models.Index(
                fields=["created_at"],
                condition=Q(email_verified_at__isnull=True, phone_verified_at__isnull=True),
                name="person_unverified_idx",  # the purge's
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Tombstone(models.Model):
    """What is left of an erased person, so that no late write can restore them."""

    id = models.UUIDField(primary_key=True, editable=False)
    version = models.BigIntegerField()
    deleted_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["deleted_at"], name="tombstone_deleted_at_idx")]


class Session(models.Model):
    """A session, stored as the SHA-256 digest of its token.

    The columns that may be NULL are of a session whose token has been refreshed: the digest of the
    token before and until when that is accepted, the version in the token, and the digest of the
    first token, from which the session's public id is derived.
    """

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="sessions")
    digest = models.BinaryField(unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    previous_digest = models.BinaryField(null=True)
    previous_expires_at = models.DateTimeField(null=True)
    token_version = models.BigIntegerField(null=True)
    first_digest = models.BinaryField(null=True)
    # Of the sign-in or the last refresh; see `domain.model.person.SessionClient`.
    user_agent = models.CharField(max_length=40, blank=True, default="", db_default="")
    network = models.CharField(max_length=43, blank=True, default="", db_default="")

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="session_expires_at_idx")]


class OneTimeCode(models.Model):
    """What a one-time code is derived from, and how it was used; the code itself is not stored."""

    channel = models.CharField(max_length=5, choices=[(c, c) for c in CHANNELS])
    salt = models.BinaryField()
    key_id = models.BinaryField()
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    network_hash = models.BinaryField(null=True)  # of who asked for it; None: staff
    first_attempted_at = models.DateTimeField(null=True)  # when sending was first attempted
    # Of the code that was handed to a provider; None: none was, so there is nothing to guess.
    code_length = models.PositiveSmallIntegerField(null=True)
    superseded_at = models.DateTimeField(null=True)  # used to sign in, or replaced by a newer one

    class Meta:
        abstract = True


class Confirmation(OneTimeCode):
    """A claim to an address, and the code that confirms it."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="confirmations")
    address = models.CharField(max_length=254)
    address_canonical = models.CharField(max_length=300)
    confirmed_at = models.DateTimeField(null=True)
    # The verified address that this one replaces once confirmed; it receives a notice.
    replaces_address = models.CharField(max_length=254, default="", db_default="")
    # When the session began in which the code was entered; None: it was confirmed by its link.
    session_created_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "channel"],
                condition=Q(confirmed_at__isnull=True, superseded_at__isnull=True),
                name="confirmation_pending_uniq",
            ),
            models.CheckConstraint(
                condition=Q(channel__in=CHANNELS), name="confirmation_channel_check"
            ),
        ]
        indexes = [
            # For the competing claims to a verified address, and for the admin's search.
            models.Index(
                fields=["address_canonical"],
                condition=Q(confirmed_at__isnull=True),
                name="confirmation_address_idx",
            ),
            # For the codes sent to an address that can still be guessed: a few, of many claims.
            models.Index(
                fields=["address_canonical", "first_attempted_at"],
                condition=Q(
                    code_length__isnull=False, confirmed_at__isnull=True, superseded_at__isnull=True
                ),
                name="confirmation_sent_idx",
            ),
            models.Index(
                fields=["superseded_at"],
                condition=Q(superseded_at__isnull=False),
                name="confirmation_superseded_idx",
            ),
        ]


class SignInChallenge(OneTimeCode):
    """A sign-in code. Unverified addresses have rows too, lest the timing reveals verified ones;
    only a keyed hash of the address is stored.
    """

    address_hash = models.BinaryField()
    # No constraint in the database: its check would reveal known addresses by timing.
    person = models.ForeignKey(
        Person, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="sign_ins"
    )

    from_known_network = models.BooleanField(default=False)  # see `KnownNetwork`

    class Meta:
        indexes = [
            # By time and not by id: Postgres might look for the last ids in the whole table, whose
            # primary key is in that order too.
            models.Index(
                fields=["address_hash", "network_hash", "-created_at"],
                name="signin_address_network_idx",
            ),
            models.Index(
                fields=["address_hash", "first_attempted_at"],
                condition=Q(code_length__isnull=False, superseded_at__isnull=True),
                name="signin_sent_idx",
            ),
            models.Index(fields=["created_at"], name="signin_created_at_idx"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(channel__in=CHANNELS), name="signin_channel_check")
        ]


type CodeRow = Confirmation | SignInChallenge


class KnownNetwork(models.Model):
    """A network from which a person has entered a code that was sent to them.

    Sign-in requests from there have a quota of their own, so that requests from other networks
    cannot keep the person out (after OWASP's device cookies).
    """

    # Without an index of its own: that of the constraint begins with it.
    person = models.ForeignKey(
        Person, on_delete=models.CASCADE, related_name="known_networks", db_index=False
    )
    network_hash = models.BinaryField()
    last_used_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "network_hash"], name="knownnetwork_uniq")
        ]
        indexes = [models.Index(fields=["last_used_at"], name="knownnetwork_last_used_idx")]


class RateLimitWindow(models.Model):
    """The times of a rate limit's hits. `key` is a keyed hash of what is limited.

    `expires_at` is at least a day after the last hit. It is rounded: where it stays the same, an
    update changes no index.
    """

    key = models.BinaryField(primary_key=True)
    hits = ArrayField(models.DateTimeField())
    expires_at = models.DateTimeField(db_default=Now() + timedelta(hours=25))

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="ratelimitwindow_expires_idx")]


class SmsPrefixStats(models.Model):
    """Text messages to the numbers with a prefix: how many were sent in an hour; of these, how many
    had a code for a new person, and how many of those codes were used.
    """

    prefix = models.CharField(max_length=8)
    hour_start = models.DateTimeField()
    sent = models.PositiveIntegerField(default=0)
    codes_sent = models.PositiveIntegerField(default=0, db_default=0)
    converted = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hour_start", "prefix"], name="smsprefixstats_uniq")
        ]


class IdempotencyKey(models.Model):
    """A sign-up that its client may repeat. Key and body are stored as keyed hashes."""

    key_hash = models.BinaryField(primary_key=True)
    request_fingerprint = models.BinaryField()
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="idempotency_keys")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="idempotencykey_created_at_idx")]


class BackendKey(models.Model):
    """A key by which a backend of the operator introspects tokens, stored as its SHA-256 digest.

    `version` is that of its last change; see `domain.postgres.backend_keys`. Rows stay: they show
    when a backend could read what.
    """

    name = models.CharField(max_length=50)
    digest = models.BinaryField(unique=True)
    version = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    ends_at = models.DateTimeField(null=True)  # when it was ended, or ends after a rotation

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(ends_at__isnull=True), name="backendkey_current_uniq"
            ),
            models.CheckConstraint(condition=~Q(name=""), name="backendkey_name_check"),
        ]


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
