"""`manage.py backends`: makes, lists, rotates and ends the keys by which the operator's backends
introspect tokens.
"""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from domain.model.errors import ServiceUnavailable
from domain.postgres import backend_keys
from domain.postgres.errors import translate_database_errors
from domain.postgres.models import BackendKey
from domain.projection.backend_keys import project_to_all

_NAME = re.compile(r"[A-Za-z0-9._-]{1,50}")
_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MAX_GRACE = timedelta(days=90)
_BOUND = "within two seconds"  # of each read process; see docs/introspection.md


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "make NAME: prints the key of a new backend, once. list: all backends and when their keys"
        " were made and end. rotate NAME: prints a new key; the old one is good for --grace more."
        " end NAME: ends all keys of a backend. Exit status: 0; 1 if nothing was done; 2 if the"
        " profile Redis is unavailable: the relay writes the change there once it is back."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list")
        for name in ("make", "rotate", "end"):
            action = actions.add_parser(name)
            action.add_argument("name", type=_parse_name, help="letters, digits and . _ -")
            if name == "rotate":
                action.add_argument(
                    "--grace",
                    type=_parse_duration,
                    default=timedelta(hours=1),
                    metavar="1h",
                    help="how long the old key is good: seconds (s), minutes (m), hours, days",
                )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            if action == "list":
                self._list()
                return
            message = self._change(action, **options)
        except backend_keys.BackendExists:
            raise CommandError("This backend has a key; rotate or end it.") from None
        except backend_keys.NoSuchBackend:
            raise CommandError("No backend of that name has a key.") from None
        except ServiceUnavailable:
            raise CommandError("Postgres is unavailable: nothing was done.") from None
        try:
            project_to_all()
        except ServiceUnavailable:
            message = "The profile Redis is unavailable: the relay writes the change there later."
            raise CommandError(message, returncode=2) from None
        self.stderr.write(f"{message} {_BOUND}.")

    def _change(self, action: str, name: str, grace: timedelta | None = None, **_: Any) -> str:
        """Changes a backend's keys, and prints a new one; returns a message."""
        if action == "end":
            count = backend_keys.end(name)
            return f"{count} {'key is' if count == 1 else 'keys are'} refused"
        key = backend_keys.make(name) if grace is None else backend_keys.rotate(name, grace)
        self.stdout.write(key)
        return "It is shown this once, stored as a digest only, and accepted"

    def _list(self) -> None:
        with translate_database_errors():
            keys = list(BackendKey.objects.order_by("name", "created_at"))
        for key in keys:
            self.stdout.write(f"{key.name:<50} made {_format(key.created_at)}, {_describe(key)}")
        try:
            if not project_to_all():
                self.stderr.write(
                    "The profile Redis has a newer set of keys: Postgres has lost a change. Until"
                    " the next change here, readers accept the keys of that set."
                )
        except ServiceUnavailable:
            self.stderr.write("The profile Redis is unavailable.")


def _describe(key: BackendKey) -> str:
    if key.ends_at is None:
        return "in use"
    verb = "ended" if key.ends_at <= datetime.now(UTC) else "ends"
    return f"{verb} {_format(key.ends_at)}"


def _format(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(" ", "seconds")


def _parse_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ArgumentTypeError("use 1 to 50 letters, digits and . _ -")
    return text


def _parse_duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if duration is None or duration > _MAX_GRACE:
        raise ArgumentTypeError("use a number and s, m, h or d, such as 90s or 1h; at most 90d")
    return duration
