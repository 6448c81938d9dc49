"""How much stands in the outbox, for whoever watches over the service."""

from dataclasses import dataclass

from django.db import connection, transaction

from domain.stores.models import CHANNELS, Outbox

MOST = 100_000  # rows that are counted; the work of looking must have a bound too
RECENT = 300  # seconds
_PATIENCE = "500ms"  # for each question
_CLOSED = [Outbox.State.DONE, Outbox.State.FAILED, Outbox.State.DROPPED]

_OPEN = """
    SELECT kind, state, count(*) FROM (
        SELECT kind, state FROM stores_outbox
        WHERE state IN ('waiting', 'queued', 'working') LIMIT %s
    ) AS open GROUP BY kind, state
"""
_OLDEST = """
    SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0)::float FROM stores_outbox
    WHERE state IN ('waiting', 'queued', 'working') AND due_at <= now()
"""
_MESSAGES = """
    SELECT channel, state, count(*) FROM (
        SELECT coalesce(confirmation.channel, sign_in.channel) AS channel, state
        FROM stores_outbox AS outbox
        LEFT JOIN stores_confirmation AS confirmation ON confirmation.id = confirmation_id
        LEFT JOIN stores_signin AS sign_in ON sign_in.id = sign_in_id
        WHERE finished_at > now() - make_interval(secs => %s) AND kind <> 'profile' LIMIT %s
    ) AS recent GROUP BY channel, state
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Open rows by kind and state; for how many seconds the oldest due one has been due; and the
    messages that were closed in the last `RECENT` seconds, by channel and state.
    """

    open: dict[tuple[str, str], int]
    oldest_due: float
    messages: dict[tuple[str, str], int]


def figures() -> Figures:
    """What Postgres says now. Raises OperationalError, also if it has to count for too long."""
    open_ = {(kind.value, state.value): 0 for kind in Outbox.Kind for state in Outbox.OPEN}
    messages = {(channel, state.value): 0 for channel in CHANNELS for state in _CLOSED}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [_PATIENCE])
        cursor.execute(_OPEN, [MOST])
        open_ |= {(kind, state): count for kind, state, count in cursor.fetchall()}
        cursor.execute(_OLDEST)
        ((oldest_due,),) = cursor.fetchall()
        cursor.execute(_MESSAGES, [RECENT, MOST])
        messages |= {(channel, state): count for channel, state, count in cursor.fetchall()}
    return Figures(open_, oldest_due, messages)
