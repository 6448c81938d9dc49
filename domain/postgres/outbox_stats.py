"""Statistics of the outbox, for `/metrics`.

Their cost does not grow with the table: finished entries are not read (processes count them, see
`domain.metrics`), the oldest ones are the ends of indexes, and of open entries no more than
`COUNT_LIMIT` are counted, by partial indexes that have no others.
"""

from dataclasses import dataclass
from itertools import product

from domain.postgres.models import OutboxEntry
from domain.postgres.outbox import POSTPONED_REASONS
from domain.postgres.sms_quotas import get_quotas
from domain.postgres.sql import fetch_all, fetch_one
from domain.postgres.statement_timeout import statement_timeout

COUNT_LIMIT = 100_000  # rows; bounds the cost of counting
OVERDUE_AFTER = 30  # seconds, the objective for messages
_STATEMENT_TIMEOUT = 0.5  # seconds, of each query
_MESSAGE_KINDS = [kind for kind in OutboxEntry.Kind.values if kind != "project_profile"]

_COUNT_UNFINISHED = """
    SELECT kind, state, reason_code, count(*) FROM (
        SELECT kind, state, reason_code FROM rollcall_outboxentry
        WHERE state IN ('pending', 'queued', 'running') LIMIT %s
    ) AS open GROUP BY kind, state, reason_code
"""
_SELECT_OLDEST_DUE_AGE = """
    SELECT coalesce(extract(epoch FROM now() - min(due_at)), 0)::float FROM rollcall_outboxentry
    WHERE state IN ('pending', 'queued', 'running') AND due_at <= now()
"""
_SELECT_OLDEST_AGES = """
    SELECT kind, coalesce(extract(epoch FROM now() - (
        SELECT min(created_at) FROM rollcall_outboxentry AS entry
        WHERE entry.kind = kinds.kind AND state IN ('pending', 'queued', 'running')
    )), 0)::float FROM unnest(%s::text[]) AS kinds (kind)
"""
_COUNT_OVERDUE_MESSAGES = """
    SELECT count(*) FROM (
        SELECT FROM rollcall_outboxentry
        WHERE kind = ANY(%s::text[]) AND state IN ('pending', 'queued', 'running')
            AND created_at < now() - make_interval(secs => %s) AND reason_code <> ALL(%s::text[])
        LIMIT %s
    ) AS overdue
"""


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """What is in the outbox now.

    `unfinished`: entries by kind and state; `postponed`: those that wait, by reason;
    `oldest_due_age`: seconds since the oldest due entry became due; `oldest_ages`: seconds since
    the oldest was created, by kind, whatever it waits for; `overdue_messages`: those created over
    `OVERDUE_AFTER` ago and not postponed. The rest: how many text messages a day are allowed, and
    are left, by whom they are for.
    """

    unfinished: dict[tuple[str, str], int]
    postponed: dict[str, int]
    oldest_due_age: float
    oldest_ages: dict[str, float]
    overdue_messages: int
    sms_quotas: dict[str, tuple[int, int]]


def collect() -> OutboxStats:
    """Collects the statistics. Raises OperationalError, also after the statement timeout."""
    with statement_timeout(_STATEMENT_TIMEOUT):
        open_counts = fetch_all(_COUNT_UNFINISHED, [COUNT_LIMIT])
        (oldest_due_age,) = fetch_one(_SELECT_OLDEST_DUE_AGE)
        oldest_ages = dict(fetch_all(_SELECT_OLDEST_AGES, [OutboxEntry.Kind.values]))
        params = [_MESSAGE_KINDS, OVERDUE_AFTER, list(POSTPONED_REASONS), COUNT_LIMIT]
        (overdue,) = fetch_one(_COUNT_OVERDUE_MESSAGES, params)
        quotas = get_quotas()
    unfinished: dict[tuple[str, str], int] = dict.fromkeys(
        product(OutboxEntry.Kind.values, OutboxEntry.UNFINISHED), 0
    )
    postponed = dict.fromkeys(sorted(POSTPONED_REASONS), 0)
    for kind, state, reason, count in open_counts:
        unfinished[kind, state] += count
        if state == OutboxEntry.State.PENDING and reason in postponed:
            postponed[reason] += count
    return OutboxStats(unfinished, postponed, oldest_due_age, oldest_ages, overdue, quotas)
