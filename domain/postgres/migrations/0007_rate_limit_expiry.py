"""When rate limits expire, for the purge. Rows of today get the latest time that is possible."""

from datetime import timedelta

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("rollcall", "0006_outbox_created_at_index")]
    operations = [
        # The default is computed once, and stored with the table: no row is rewritten.
        migrations.AddField(
            "ratelimitwindow",
            "expires_at",
            models.DateTimeField(db_default=Now() + timedelta(hours=25)),
        )
    ]
