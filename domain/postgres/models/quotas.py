"""What quotas count: messages and failed attempts in sliding windows, text messages by prefix."""

from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class RateLimitWindow(models.Model):
    """The times of a limit's hits; see `domain.postgres.sliding_windows`. `key` is a keyed hash of
    what is limited.

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
