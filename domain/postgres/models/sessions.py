"""Sessions, and what is remembered of sign-ups and sign-ins: idempotency keys, known networks."""

from django.db import models
from django.db.models.functions import Now

from domain.postgres.models.people import Person


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


class IdempotencyKey(models.Model):
    """A sign-up that its client may repeat. Key and body are stored as keyed hashes."""

    key_hash = models.BinaryField(primary_key=True)
    request_fingerprint = models.BinaryField()
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="idempotency_keys")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="idempotencykey_created_at_idx")]
