"""Indexes for the purge and the admin, made while the service runs, and smaller ones in place of
three others: together they cost a sign-up what those did.
"""

from django.db import migrations, models
from django.db.models import Q

from domain.postgres.migration_operations import (
    AddIndexConcurrently,
    create_index_sql,
    drop_index_sql,
)

REPLACED = {
    "rollcall_outboxentry_confirmation_id_dda4974b": "rollcall_outboxentry (confirmation_id)",
    "rollcall_outboxentry_sign_in_id_9b944114": "rollcall_outboxentry (sign_in_id)",
    "rollcall_knownnetwork_person_id_82e72135": "rollcall_knownnetwork (person_id)",
}
# Of Django's table, which has none for the history of a person, nor for one's latest actions.
OF_ADMIN_LOG = {
    "admin_log_object_id_idx": "django_admin_log (object_id)",
    "admin_log_user_action_time_idx": "django_admin_log (user_id, action_time)",
}


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("rollcall", "0007_rate_limit_expiry"),
        ("admin", "0003_logentry_add_action_flag_choices"),
    ]
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
        *(
            migrations.RunSQL(drop_index_sql(name), create_index_sql(name, definition))
            for name, definition in REPLACED.items()
        ),
        *(
            migrations.RunSQL(create_index_sql(name, definition), drop_index_sql(name))
            for name, definition in OF_ADMIN_LOG.items()
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
