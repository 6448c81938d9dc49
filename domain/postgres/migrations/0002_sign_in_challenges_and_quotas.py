import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("rollcall", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="KnownNetwork",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("network_hash", models.BinaryField()),
                (
                    "last_used_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="outboxentry",
            name="outbox_kind_refs_check",
        ),
        migrations.RemoveIndex(
            model_name="signinchallenge",
            name="signin_address_hash_idx",
        ),
        migrations.RemoveField(
            model_name="confirmation",
            name="invalidated",
        ),
        migrations.AddField(
            model_name="confirmation",
            name="code_length",
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="confirmation",
            name="network_hash",
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name="confirmation",
            name="session_created_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="outboxentry",
            name="quota_used",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="person",
            name="email_first_sign_in_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="person",
            name="phone_first_sign_in_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="signinchallenge",
            name="code_length",
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="signinchallenge",
            name="from_known_network",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="signinchallenge",
            name="network_hash",
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name="smsprefixstats",
            name="codes_sent",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="outboxentry",
            name="kind",
            field=models.CharField(
                choices=[
                    ("project_profile", "Project Profile"),
                    ("confirmation", "Confirmation"),
                    ("address_change_notice", "Address Change Notice"),
                    ("other_channel_notice", "Other Channel Notice"),
                    ("sign_in_code", "Sign In Code"),
                ],
                max_length=21,
            ),
        ),
        migrations.AlterField(
            model_name="smsprefixstats",
            name="prefix",
            field=models.CharField(max_length=8),
        ),
        migrations.AddIndex(
            model_name="confirmation",
            index=models.Index(
                condition=models.Q(
                    ("code_length__isnull", False),
                    ("confirmed_at__isnull", True),
                    ("superseded_at__isnull", True),
                ),
                fields=["address_canonical", "first_attempted_at"],
                name="confirmation_sent_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="signinchallenge",
            index=models.Index(
                fields=["address_hash", "network_hash", "-created_at"],
                name="signin_address_network_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="signinchallenge",
            index=models.Index(
                condition=models.Q(("code_length__isnull", False), ("superseded_at__isnull", True)),
                fields=["address_hash", "first_attempted_at"],
                name="signin_sent_idx",
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
                        (
                            "kind__in",
                            ["confirmation", "address_change_notice", "other_channel_notice"],
                        ),
                    ),
                    models.Q(("kind", "sign_in_code"), ("sign_in__isnull", False)),
                    _connector="OR",
                ),
                name="outbox_kind_refs_check",
            ),
        ),
        migrations.AddField(
            model_name="knownnetwork",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="known_networks",
                to="rollcall.person",
            ),
        ),
        migrations.AddIndex(
            model_name="knownnetwork",
            index=models.Index(fields=["last_used_at"], name="knownnetwork_last_used_idx"),
        ),
        migrations.AddConstraint(
            model_name="knownnetwork",
            constraint=models.UniqueConstraint(
                fields=("person", "network_hash"), name="knownnetwork_uniq"
            ),
        ),
        # Codes that were sent before stay valid: only those with a length can be entered.
        migrations.RunSQL(
            """
            UPDATE rollcall_confirmation SET code_length = 6
            WHERE first_attempted_at > now() - interval '15 minutes' AND confirmed_at IS NULL
                AND superseded_at IS NULL
            """,
            migrations.RunSQL.noop,
        ),
    ]
