"""Claims that somebody else has answered are found by their address too: by whoever confirms it,
whose query could not use the index before, and by staff.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stores", "0003_accounts")]

    operations = [
        migrations.RemoveIndex("confirmation", "open_claims_to_an_address"),
        migrations.AddIndex(
            "confirmation",
            models.Index(
                fields=["address_key"],
                condition=models.Q(confirmed_at__isnull=True),
                name="open_claims_to_an_address",
            ),
        ),
    ]
