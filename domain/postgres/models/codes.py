"""One-time codes: confirmations of addresses, and sign-in challenges."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from domain.model.address import Channel
from domain.postgres.models.people import Person

_CHANNELS = [channel.value for channel in Channel]


class OneTimeCode(models.Model):
    """What a one-time code is derived from, and how it was used; the code itself is not stored."""

    channel = models.CharField(max_length=5, choices=[(c, c) for c in _CHANNELS])
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
                condition=Q(channel__in=_CHANNELS), name="confirmation_channel_check"
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
            models.CheckConstraint(condition=Q(channel__in=_CHANNELS), name="signin_channel_check")
        ]


type CodeRow = Confirmation | SignInChallenge
