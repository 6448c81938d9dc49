"""An index for the metrics, made while the service runs."""

from django.db import migrations, models

from domain.postgres.migration_operations import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("rollcall", "0005_admin_indexes")]
    operations = [
        AddIndexConcurrently(
            "outboxentry",
            models.Index(
                fields=["kind", "created_at"],
                condition=models.Q(state__in=["pending", "queued", "running"]),
                name="outbox_created_at_idx",
            ),
        )
    ]
