"""Sessions whose token is refreshed, and from where they are used."""

from django.db import migrations, models

_COLUMNS = {
    "previous_digest": models.BinaryField(null=True),
    "previous_expires_at": models.DateTimeField(null=True),
    "token_version": models.BigIntegerField(null=True),
    "first_digest": models.BinaryField(null=True),
    "user_agent": models.CharField(max_length=40, blank=True, default="", db_default=""),
    "network": models.CharField(max_length=43, blank=True, default="", db_default=""),
}
# As in 0003: the planner keeps no samples of them.
_NO_STATISTICS = ("previous_digest", "first_digest", "user_agent", "network")


class Migration(migrations.Migration):
    dependencies = [("rollcall", "0008_purge_indexes")]

    operations = [
        # No default, or a constant, which is stored with the table: they rewrite no row.
        *(migrations.AddField("session", name, field) for name, field in _COLUMNS.items()),
        *(
            migrations.RunSQL(
                f"ALTER TABLE rollcall_session ALTER {name} SET STATISTICS 0",
                migrations.RunSQL.noop,
            )
            for name in _NO_STATISTICS
        ),
    ]
