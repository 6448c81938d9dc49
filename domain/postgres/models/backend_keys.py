"""The keys of the operator's backends."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


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
