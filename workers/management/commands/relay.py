"""`manage.py relay`: runs the relay until SIGTERM or SIGINT."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from workers.relay import Relay


class Command(BaseCommand):
    requires_system_checks = ()
    help = "Dispatch due outbox entries to Huey, and backfill cache misses, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        relay = Relay()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: relay.stop())
        relay.run()
