"""People, and what is left of those who were erased."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


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
