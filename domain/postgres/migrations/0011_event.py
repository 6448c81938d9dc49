"""The table of events."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("rollcall", "0010_backend_key"),
    ]

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("person.created", "Person Created"),
                            ("email.confirmed", "Email Confirmed"),
                            ("phone.confirmed", "Phone Confirmed"),
                            ("profile.changed", "Profile Changed"),
                            ("session.revoked", "Session Revoked"),
                            ("person.deleted", "Person Deleted"),
                        ],
                        max_length=15,
                    ),
                ),
                ("person_id", models.UUIDField()),
                ("version", models.BigIntegerField()),
                ("session_id", models.UUIDField(blank=True, null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                        ],
                        db_default="pending",
                        default="pending",
                        max_length=9,
                    ),
                ),
                (
                    "due_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("lease_token", models.UUIDField(blank=True, null=True)),
                ("attempts", models.PositiveIntegerField(db_default=0, default=0)),
                (
                    "reason_code",
                    models.CharField(blank=True, db_default="", default="", max_length=40),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("first_attempted_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "pending")),
                        fields=["due_at", "id"],
                        name="event_due_at_idx",
                    ),
                    models.Index(fields=["person_id", "state", "id"], name="event_person_idx"),
                    models.Index(fields=["state", "created_at"], name="event_state_created_at_idx"),
                    models.Index(
                        condition=models.Q(("finished_at__isnull", False)),
                        fields=["finished_at"],
                        name="event_finished_at_idx",
                    ),
                ],
            },
        ),
    ]
