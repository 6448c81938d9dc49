"""All tables. Those of Huey's dashboard each process would otherwise create at its start."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# As huey.contrib.stats of huey 3.5 declares them; a test compares the two.
CREATE = """
CREATE TABLE IF NOT EXISTS huey_event (
    id serial PRIMARY KEY,
    ts double precision NOT NULL,
    queue varchar(255) NOT NULL,
    task_id varchar(255) NOT NULL,
    task varchar(255) NOT NULL,
    signal varchar(255) NOT NULL,
    duration double precision,
    error text,
    args text
);
CREATE INDEX IF NOT EXISTS hueyevent_ts ON huey_event (ts);
CREATE INDEX IF NOT EXISTS hueyevent_queue ON huey_event (queue);
CREATE INDEX IF NOT EXISTS hueyevent_task ON huey_event (task);
CREATE TABLE IF NOT EXISTS huey_inflight (
    task_id varchar(255) PRIMARY KEY,
    queue varchar(255) NOT NULL,
    task varchar(255) NOT NULL,
    started double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS hueyinflight_queue ON huey_inflight (queue);
"""
DROP = "DROP TABLE IF EXISTS huey_event; DROP TABLE IF EXISTS huey_inflight;"


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="RateLimitWindow",
            fields=[
                ("key", models.BinaryField(primary_key=True, serialize=False)),
                (
                    "hits",
                    django.contrib.postgres.fields.ArrayField(base_field=models.DateTimeField()),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Tombstone",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("version", models.BigIntegerField()),
                (
                    "deleted_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Person",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("surname", models.CharField(max_length=100)),
                ("email", models.CharField(max_length=254)),
                ("email_canonical", models.CharField(max_length=300)),
                ("phone", models.CharField(max_length=16)),
                (
                    "hobbies",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=100), blank=True, default=list
                    ),
                ),
                ("email_verified_at", models.DateTimeField(blank=True, null=True)),
                ("phone_verified_at", models.DateTimeField(blank=True, null=True)),
                ("version", models.BigIntegerField(default=1)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "people",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("email_verified_at__isnull", False)),
                        fields=("email_canonical",),
                        name="person_verified_email_uniq",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("phone_verified_at__isnull", False)),
                        fields=("phone",),
                        name="person_verified_phone_uniq",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("version__gte", 1)), name="person_version_check"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("name", ""), _negated=True),
                            models.Q(("surname", ""), _negated=True),
                        ),
                        name="person_names_check",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("phone__startswith", "+")), name="person_phone_check"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                ("key_hash", models.BinaryField(primary_key=True, serialize=False)),
                ("request_fingerprint", models.BinaryField()),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="idempotency_keys",
                        to="rollcall.person",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Confirmation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[("email", "email"), ("phone", "phone")], max_length=5
                    ),
                ),
                ("address", models.CharField(max_length=254)),
                ("address_canonical", models.CharField(max_length=300)),
                ("salt", models.BinaryField()),
                ("key_id", models.BinaryField()),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("first_attempted_at", models.DateTimeField(null=True)),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("superseded_at", models.DateTimeField(null=True)),
                ("replaces_address", models.CharField(db_default="", default="", max_length=254)),
                ("invalidated", models.BooleanField(default=False)),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="confirmations",
                        to="rollcall.person",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.BinaryField(unique=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to="rollcall.person",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SignInChallenge",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[("email", "email"), ("phone", "phone")], max_length=5
                    ),
                ),
                ("address_hash", models.BinaryField()),
                ("salt", models.BinaryField()),
                ("key_id", models.BinaryField()),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("first_attempted_at", models.DateTimeField(null=True)),
                ("superseded_at", models.DateTimeField(null=True)),
                (
                    "person",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="sign_ins",
                        to="rollcall.person",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OutboxEntry",
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
                            ("project_profile", "Project Profile"),
                            ("confirmation", "Confirmation"),
                            ("address_change_notice", "Address Change Notice"),
                            ("sign_in_code", "Sign In Code"),
                        ],
                        max_length=21,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("discarded", "Discarded"),
                        ],
                        default="queued",
                        max_length=9,
                    ),
                ),
                ("due_at", models.DateTimeField()),
                ("lease_token", models.UUIDField(blank=True, null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("reason_code", models.CharField(blank=True, max_length=40)),
                ("provider_message_id", models.CharField(blank=True, max_length=200)),
                (
                    "delivery_status",
                    models.CharField(
                        blank=True,
                        choices=[("", "None"), ("failed", "Failed"), ("delivered", "Delivered")],
                        db_default="",
                        default="",
                        max_length=9,
                    ),
                ),
                ("delivery_status_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "confirmation",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="outbox",
                        to="rollcall.confirmation",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="outbox",
                        to="rollcall.person",
                    ),
                ),
                (
                    "sign_in",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="outbox",
                        to="rollcall.signinchallenge",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "outbox entries",
            },
        ),
        migrations.CreateModel(
            name="SmsPrefixStats",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("prefix", models.CharField(max_length=6)),
                ("hour_start", models.DateTimeField()),
                ("sent", models.PositiveIntegerField(default=0)),
                ("converted", models.PositiveIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("hour_start", "prefix"), name="smsprefixstats_uniq"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="confirmation",
            index=models.Index(
                condition=models.Q(("confirmed_at__isnull", True)),
                fields=["address_canonical"],
                name="confirmation_address_idx",
            ),
        ),
        migrations.AddConstraint(
            model_name="confirmation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("confirmed_at__isnull", True), ("superseded_at__isnull", True)),
                fields=("person", "channel"),
                name="confirmation_pending_uniq",
            ),
        ),
        migrations.AddConstraint(
            model_name="confirmation",
            constraint=models.CheckConstraint(
                condition=models.Q(("channel__in", ["email", "phone"])),
                name="confirmation_channel_check",
            ),
        ),
        migrations.AddIndex(
            model_name="signinchallenge",
            index=models.Index(fields=["address_hash", "-id"], name="signin_address_hash_idx"),
        ),
        migrations.AddConstraint(
            model_name="signinchallenge",
            constraint=models.CheckConstraint(
                condition=models.Q(("channel__in", ["email", "phone"])), name="signin_channel_check"
            ),
        ),
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(
                models.F("due_at"),
                condition=models.Q(("state__in", ["pending", "queued", "running"])),
                name="outbox_due_at_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(
                models.F("finished_at"),
                condition=models.Q(("finished_at__isnull", False)),
                name="outbox_finished_at_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="outboxentry",
            index=models.Index(
                models.F("provider_message_id"),
                condition=models.Q(("provider_message_id", ""), _negated=True),
                name="outbox_provider_msg_id_idx",
            ),
        ),
        migrations.AddConstraint(
            model_name="outboxentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("confirmation", None), ("kind", "project_profile"), ("sign_in", None)
                    ),
                    models.Q(
                        ("confirmation__isnull", False),
                        ("kind__in", ["confirmation", "address_change_notice"]),
                    ),
                    models.Q(("kind", "sign_in_code"), ("sign_in__isnull", False)),
                    _connector="OR",
                ),
                name="outbox_kind_refs_check",
            ),
        ),
        migrations.AddConstraint(
            model_name="outboxentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("lease_token__isnull", False), ("state", "running")),
                    models.Q(("state", "running"), _negated=True),
                    _connector="OR",
                ),
                name="outbox_running_lease_check",
            ),
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
