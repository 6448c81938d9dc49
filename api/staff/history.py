"""What happened to a person, as tables for staff: no address in full, no code, salt or digest."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models.functions import Now

from domain.address import Channel, mask
from domain.stores import models, overview

_MOST = 50


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, the heads of columns, and rows of cells. Times are in UTC."""

    caption: str
    heads: tuple[str, ...]
    rows: list[list[str]]


def tables_of(row: models.Person) -> list[Table]:
    """All there is to tell of a person, the newest first; at most 50 rows of each kind."""
    return [_channels(row), _confirmations(row), _messages(row), _sessions(row), _records(row)]


def _table(caption: str, heads: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> Table:
    return Table(caption, heads, [[_shown(cell) for cell in cells] for cells in rows])


def _shown(cell: Any) -> str:
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}"
    return "" if cell is None else str(cell)


def _channels(row: models.Person) -> Table:
    heads = ("channel", "status", "tries left", "next resend", "is to become")
    states = overview.get_statuses(row.id) or {}  # gone since
    rows = [
        (c, state.status, state.attempts_left, state.resend_available_at, state.pending)
        for c, state in states.items()
    ]
    return _table("Addresses now", heads, rows)


def _confirmations(row: models.Person) -> Table:
    heads = ("id", "channel", "address", "asked", "first sent", "tries", "end", "when")
    found = row.confirmations.order_by("-id")[:_MOST]
    rows = [
        (c.pk, c.channel, mask(Channel(c.channel), c.address), c.created_at, c.first_attempted_at,
         c.attempts, *_end(c))
        for c in found
    ]  # fmt: skip  # in the order of the heads
    return _table("Confirmations", heads, rows)


def _end(row: models.Confirmation) -> tuple[str, Any]:
    if row.confirmed_at is not None:
        return "confirmed", row.confirmed_at
    if row.superseded_at is not None:
        return "replaced", row.superseded_at
    return ("somebody else confirmed it" if row.invalidated else "", None)


def _messages(row: models.Person) -> Table:
    heads = ("id", "what", "about", "state", "reason", "attempts", "receipt", "asked", "finished")
    found = row.outbox.order_by("-id")[:_MOST]
    rows = [
        (o.pk, o.kind, o.confirmation_id, o.state, o.reason_code, o.attempts, o.delivery_status,
         o.created_at, o.finished_at)
        for o in found
    ]  # fmt: skip  # in the order of the heads
    return _table("Messages and other work (outbox)", heads, rows)


def _sessions(row: models.Person) -> Table:
    found = row.sessions.filter(expires_at__gt=Now()).order_by("-id")
    rows = [(s.pk, s.created_at, s.expires_at) for s in found]
    return _table(f"Live sessions: {len(rows)}", ("id", "opened", "ends"), rows)


def _records(row: models.Person) -> Table:
    found = LogEntry.objects.filter(object_id=str(row.pk)).select_related("user")
    rows = [
        (r.action_time, r.user.get_username(), r.change_message)
        for r in found.order_by("-action_time")[:_MOST]
    ]
    return _table("What staff did", ("when", "who", "what"), rows)
