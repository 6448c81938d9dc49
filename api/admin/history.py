"""A person's history as tables for staff, with masked addresses; no code, salt or digest."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models.functions import Now

from domain.model.address import Channel, mask
from domain.postgres import confirmation_status, models

_MAX_ROWS = 50


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, column headings, and rows of cells. Times are in UTC."""

    caption: str
    columns: tuple[str, ...]
    rows: list[list[str]]


def build_tables(row: models.Person) -> list[Table]:
    """Returns the tables of a person, newest rows first, at most 50 rows each."""
    return [
        _channels(row),
        _confirmations(row),
        _messages(row),
        _sessions(row),
        _staff_actions(row),
    ]


def _make_table(caption: str, columns: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> Table:
    return Table(caption, columns, [[_format_cell(cell) for cell in cells] for cells in rows])


def _format_cell(cell: Any) -> str:
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}"
    return "" if cell is None else str(cell)


def _channels(row: models.Person) -> Table:
    columns = ("channel", "status", "attempts left", "next resend", "pending")
    states = confirmation_status.get_statuses(row.id) or {}  # deleted meanwhile
    rows = [
        (c, state.status, state.attempts_left, state.resend_available_at, state.pending)
        for c, state in states.items()
    ]
    return _make_table("Addresses", columns, rows)


def _confirmations(row: models.Person) -> Table:
    columns = ("id", "channel", "address", "created", "first attempted", "attempts", "outcome",
               "outcome at")  # fmt: skip  # one glance
    entries = row.confirmations.order_by("-id")[:_MAX_ROWS]
    rows = [
        (c.pk, c.channel, mask(Channel(c.channel), c.address), c.created_at, c.first_attempted_at,
         c.attempts, *_get_outcome(c))
        for c in entries
    ]  # fmt: skip  # in the order of the columns
    return _make_table("Confirmations", columns, rows)


def _get_outcome(row: models.Confirmation) -> tuple[str, Any]:
    if row.confirmed_at is not None:
        return "confirmed", row.confirmed_at
    if row.superseded_at is not None:
        return "superseded", row.superseded_at
    return ("confirmed by another person" if row.invalidated else "", None)


def _messages(row: models.Person) -> Table:
    columns = ("id", "kind", "confirmation", "state", "reason", "attempts", "receipt", "created",
               "finished")  # fmt: skip  # one glance
    entries = row.outbox.order_by("-id")[:_MAX_ROWS]
    rows = [
        (o.pk, o.kind, o.confirmation_id, o.state, o.reason_code, o.attempts, o.delivery_status,
         o.created_at, o.finished_at)
        for o in entries
    ]  # fmt: skip  # in the order of the columns
    return _make_table("Outbox entries", columns, rows)


def _sessions(row: models.Person) -> Table:
    entries = row.sessions.filter(expires_at__gt=Now()).order_by("-id")
    rows = [(s.pk, s.created_at, s.expires_at) for s in entries]
    return _make_table(f"Active sessions: {len(rows)}", ("id", "created", "expires"), rows)


def _staff_actions(row: models.Person) -> Table:
    entries = LogEntry.objects.filter(object_id=str(row.pk)).select_related("user")
    rows = [
        (r.action_time, r.user.get_username(), r.change_message)
        for r in entries.order_by("-action_time")[:_MAX_ROWS]
    ]
    return _make_table("Staff actions", ("time", "user", "action"), rows)
