"""`manage.py relay`: runs the relay until SIGTERM or SIGINT."""

import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand

from workers.relay import Relay


class Command(BaseCommand):
    requires_system_checks = ()
    help = "Dispatch due outbox entries to Huey, and backfill cache misses, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        # Readers wait for backfills: threads that rebuild profiles give way to one within half a
        # millisecond, each time (by default 5).
        sys.setswitchinterval(0.0005)
        relay = Relay()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: relay.stop())
        relay.run()
