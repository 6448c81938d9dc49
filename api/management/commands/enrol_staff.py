"""`manage.py enrol_staff USERNAME`: gives a staff user a new second factor."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django_otp.plugins.otp_totp.models import TOTPDevice


class Command(BaseCommand):
    help = (
        "Prints, once, the otpauth:// URI of a new authenticator (TOTP, RFC 6238) of a staff user."
        " It replaces those before: they are lost or known to others, and their sessions end."
    )
    requires_system_checks = ()  # make check has run them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model().objects.filter(is_staff=True)
        with transaction.atomic():
            user = users.select_for_update().filter(username=options["username"]).first()
            if user is None:
                raise CommandError(f"There is no staff user {options['username']}.")
            TOTPDevice.objects.filter(user=user).delete()
            device = TOTPDevice.objects.create(user=user, name="authenticator")
        self.stdout.write(device.config_url)
