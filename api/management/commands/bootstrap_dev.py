"""`manage.py bootstrap_dev`: prepares a development machine: migrations and a staff user."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

USERNAME = "staff"


class Command(BaseCommand):
    help = (
        "Migrates, and creates a staff user with a random password, kept in DATA_DIR/staff-password"
        " (mode 600). One command for both, because starting Django takes longer than either."
    )
    requires_system_checks = ()  # make check has run them

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, skip_checks=True, stdout=self.stdout)
        path = Path(os.environ.get("DATA_DIR", ".data")) / "staff-password"
        user, _ = get_user_model().objects.get_or_create(
            username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
        )
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(12) + "\n")
        password = path.read_text().strip()
        if not user.check_password(password):
            user.set_password(password)
            user.save()
