"""`manage.py events`: lists the events of the webhook, says how they are, and replays them."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from domain.model.errors import ServiceUnavailable
from domain.postgres import event_queries
from domain.postgres.errors import translate_database_errors
from domain.postgres.event_queries import COUNT_LIMIT
from domain.postgres.models import Event

_DELIVERED, _FAILED = Event.State.DELIVERED, Event.State.FAILED


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "status: how many events wait or were given up. list: the newest ones. replay: delivers"
        " events again, with the same ids. docs/events.md has more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("status")
        listing = actions.add_parser("list")
        listing.add_argument("--state", choices=Event.State.values)
        listing.add_argument("--person", type=UUID, metavar="ID")
        listing.add_argument("--limit", type=int, default=50)
        replay = actions.add_parser("replay").add_mutually_exclusive_group(required=True)
        replay.add_argument(
            "--since", type=_parse_time, metavar="TIME", help="ISO 8601; UTC unless it says so"
        )
        replay.add_argument("--person", type=UUID, metavar="ID")
        replay.add_argument("--id", type=_parse_id, help="a number, or a webhook-id")
        replay.add_argument("--failed", action="store_true", help="all that were given up")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            with translate_database_errors():
                getattr(self, f"_{action}")(options)
        except ServiceUnavailable:
            raise CommandError("Postgres is unavailable.") from None

    def _status(self, options: dict[str, Any]) -> None:
        stats = event_queries.collect()
        for name, count in (("pending", stats.pending), ("failed", stats.failed)):
            self.stdout.write(f"{name:<8}{count:>8,}{' or more' * (count == COUNT_LIMIT)}")
        self.stdout.write(f"The oldest pending event is {stats.oldest_age:,.0f} s old.")

    def _list(self, options: dict[str, Any]) -> None:
        rows = event_queries.list_events(
            options["state"], options["person"], max(1, options["limit"])
        )
        for each in rows:
            created_at = each.created_at.astimezone(UTC)
            line = (
                f"{each.id:>8}  {created_at:%Y-%m-%dT%H:%M:%SZ}  {each.person_id}"
                f"  v{each.version:<4} {each.kind:<15}  {each.state:<9} {each.attempts:>3}"
                f"  {each.reason_code}"
            )
            self.stdout.write(line.rstrip())

    def _replay(self, options: dict[str, Any]) -> None:
        if options["id"] is not None:
            count = event_queries.replay([options["id"]])
        elif options["person"] is not None:
            count = event_queries.replay_person(options["person"])
        elif options["failed"]:
            count = sum(event_queries.replay_finished("-infinity", (_FAILED,)))
        else:
            count = sum(event_queries.replay_finished(options["since"], (_DELIVERED, _FAILED)))
        self.stdout.write(f"{count:,} events are delivered again.")


def _parse_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _parse_id(text: str) -> int:
    """Returns the number of an event, also from its webhook-id."""
    return int(text.removeprefix("evt_").partition("_")[0])
