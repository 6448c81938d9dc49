from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rollcall", "0011_event")]

    operations = [
        # Without a default: it rewrites no row, and the previous version may leave it out.
        migrations.AddField(
            "person", "locale", models.CharField(max_length=8, null=True, blank=True)
        ),
        # As in 0003: the planner keeps no samples of it.
        migrations.RunSQL(
            "ALTER TABLE rollcall_person ALTER locale SET STATISTICS 0", migrations.RunSQL.noop
        ),
    ]
