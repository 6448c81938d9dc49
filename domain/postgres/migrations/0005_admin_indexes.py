"""Indexes for the lists of the admin. They are built without a lock that writes would wait for."""

from django.db import migrations, models

from domain.postgres.migration_operations import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("rollcall", "0004_traceparent")]

    operations = [
        AddIndexConcurrently(
            "person", models.Index(fields=["created_at"], name="person_created_at_idx")
        ),
        AddIndexConcurrently(
            "tombstone", models.Index(fields=["deleted_at"], name="tombstone_deleted_at_idx")
        ),
        AddIndexConcurrently(
            "outboxentry",
            models.Index(
                models.F("finished_at"),
                condition=models.Q(state="failed"),
                name="outbox_failed_idx",
            ),
        ),
    ]
