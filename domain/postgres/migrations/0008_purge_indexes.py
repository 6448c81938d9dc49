"""Indexes for the purge, made while the service runs, and smaller ones in place of three others:
together they cost a sign-up what those did.
"""

from django.db import migrations, models
from django.db.models import Q

from domain.postgres.migration_operations import AddIndexConcurrently, drop_index_concurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("rollcall", "0007_rate_limit_expiry")]
    operations = [
        AddIndexConcurrently(
            "person",
            models.Index(
                fields=["created_at"],
                condition=Q(email_verified_at__isnull=True, phone_verified_at__isnull=True),
                name="person_unverified_idx",
            ),
        ),
        AddIndexConcurrently(
            "session", models.Index(fields=["expires_at"], name="session_expires_at_idx")
        ),
        AddIndexConcurrently(
            "confirmation",
            models.Index(
                fields=["superseded_at"],
                condition=Q(superseded_at__isnull=False),
                name="confirmation_superseded_idx",
            ),
        ),
        AddIndexConcurrently(
            "signinchallenge", models.Index(fields=["created_at"], name="signin_created_at_idx")
        ),
        AddIndexConcurrently(
            "idempotencykey",
            models.Index(fields=["created_at"], name="idempotencykey_created_at_idx"),
        ),
        AddIndexConcurrently(
            "ratelimitwindow",
            models.Index(fields=["expires_at"], name="ratelimitwindow_expires_idx"),
        ),
        AddIndexConcurrently(
            "outboxentry",
            models.Index(
                fields=["confirmation"],
                condition=Q(confirmation__isnull=False),
                name="outbox_confirmation_idx",
            ),
        ),
        AddIndexConcurrently(
            "outboxentry",
            models.Index(
                fields=["sign_in"], condition=Q(sign_in__isnull=False), name="outbox_sign_in_idx"
            ),
        ),
        drop_index_concurrently(
            "rollcall_outboxentry_confirmation_id_dda4974b",
            "rollcall_outboxentry (confirmation_id)",
        ),
        drop_index_concurrently(
            "rollcall_outboxentry_sign_in_id_9b944114", "rollcall_outboxentry (sign_in_id)"
        ),
        drop_index_concurrently(
            "rollcall_knownnetwork_person_id_82e72135", "rollcall_knownnetwork (person_id)"
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "outboxentry",
                    "confirmation",
                    models.ForeignKey(
                        "rollcall.confirmation",
                        models.CASCADE,
                        null=True,
                        related_name="outbox",
                        db_index=False,
                    ),
                ),
                migrations.AlterField(
                    "outboxentry",
                    "sign_in",
                    models.ForeignKey(
                        "rollcall.signinchallenge",
                        models.CASCADE,
                        null=True,
                        related_name="outbox",
                        db_index=False,
                    ),
                ),
                migrations.AlterField(
                    "knownnetwork",
                    "person",
                    models.ForeignKey(
                        "rollcall.person",
                        models.CASCADE,
                        related_name="known_networks",
                        db_index=False,
                    ),
                ),
            ]
        ),
    ]
