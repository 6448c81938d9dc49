
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('stores', '0002_huey_dashboard'),
    ]

    operations = [
        migrations.CreateModel(
            name='Gone',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('version', models.BigIntegerField()),
                ('gone_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
            options={
                'verbose_name_plural': 'gone',
            },
        ),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('key_hash', models.BinaryField(primary_key=True, serialize=False)),
                ('body_hash', models.BinaryField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
        ),
        migrations.CreateModel(
            name='SignIn',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(choices=[('email', 'email'), ('phone', 'phone')], max_length=5)),
                ('address_hash', models.BinaryField()),
                ('salt', models.BinaryField()),
                ('key_id', models.BinaryField()),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('first_sent_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Tally',
            fields=[
                ('subject', models.BinaryField(primary_key=True, serialize=False)),
                ('moments', django.contrib.postgres.fields.ArrayField(base_field=models.DateTimeField())),
            ],
            options={
                'verbose_name_plural': 'tallies',
            },
        ),
        migrations.CreateModel(
            name='TextMessages',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('prefix', models.CharField(max_length=6)),
                ('hour', models.DateTimeField()),
                ('sent', models.PositiveIntegerField(default=0)),
                ('confirmed', models.PositiveIntegerField(default=0)),
            ],
            options={
                'verbose_name_plural': 'text messages',
            },
        ),
        migrations.RemoveConstraint(
            model_name='outbox',
            name='a_message_is_about_a_confirmation',
        ),
        migrations.AddField(
            model_name='confirmation',
            name='replaces',
            field=models.CharField(db_default='', default='', max_length=254),
        ),
        migrations.AddField(
            model_name='outbox',
            name='receipt',
            field=models.CharField(blank=True, choices=[('', 'None'), ('failed', 'Failed'), ('delivered', 'Delivered')], db_default='', default='', max_length=9),
        ),
        migrations.AddField(
            model_name='outbox',
            name='receipt_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='outbox',
            name='kind',
            field=models.CharField(choices=[('profile', 'Profile'), ('confirmation', 'Confirmation'), ('change notice', 'Change Notice'), ('sign-in', 'Sign In')], max_length=13),
        ),
        migrations.AlterField(
            model_name='outbox',
            name='person',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='outbox', to='stores.person'),
        ),
        migrations.AddField(
            model_name='idempotencykey',
            name='person',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='idempotency_keys', to='stores.person'),
        ),
        migrations.AddField(
            model_name='signin',
            name='person',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='sign_ins', to='stores.person'),
        ),
        migrations.AddField(
            model_name='outbox',
            name='sign_in',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='outbox', to='stores.signin'),
        ),
        migrations.AddIndex(
            model_name='outbox',
            index=models.Index(models.F('provider_id'), condition=models.Q(('provider_id', ''), _negated=True), name='outbox_by_provider_id'),
        ),
        migrations.AddConstraint(
            model_name='outbox',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('confirmation', None), ('kind', 'profile'), ('sign_in', None)), models.Q(('confirmation__isnull', False), ('kind__in', ['confirmation', 'change notice'])), models.Q(('kind', 'sign-in'), ('sign_in__isnull', False)), _connector='OR'), name='a_message_has_its_reason'),
        ),
        migrations.AddConstraint(
            model_name='textmessages',
            constraint=models.UniqueConstraint(fields=('hour', 'prefix'), name='one_count_an_hour_and_prefix'),
        ),
        migrations.AddIndex(
            model_name='signin',
            index=models.Index(fields=['address_hash', '-id'], name='sign_ins_by_address'),
        ),
        migrations.AddConstraint(
            model_name='signin',
            constraint=models.CheckConstraint(condition=models.Q(('channel__in', ['email', 'phone'])), name='known_sign_in_channel'),
        ),
    ]
