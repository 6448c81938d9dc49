"""Statistics of the outbox, for `/metrics`."""

from dataclasses import dataclass
from itertools import product

from django.db import connection, transaction

from domain.postgres.models import CHANNELS, OutboxEntry

COUNT_LIMIT = 100_000  # rows; bounds the cost of counting
WINDOW_SECONDS = 300
_STATEMENT_TIMEOUT = "500ms"  # of each query
_FINISHED = [OutboxEntry.State.DONE, OutboxEntry.State.FAILED, OutboxEntry.State.DISCARDED]

# Why a message waits although its provider could be asked: quotas, and what is waited for.
POSTPONED_REASONS = [
    "address_quota",
    "sms_network_quota",
    "sms_prefix_quota",
    "sms_low_conversion",
    "sms_quota",
    "sms_owner_quota",
    "email_not_confirmed",
    "key_unknown",
]
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
_COUNT_FINISHED_MESSAGES = """
    SELECT channel, state, count(*) FROM (
        SELECT coalesce(confirmation.channel, sign_in.channel) AS channel, state
        FROM rollcall_outboxentry AS outbox
        LEFT JOIN rollcall_confirmation AS confirmation ON confirmation.id = confirmation_id
        LEFT JOIN rollcall_signinchallenge AS sign_in ON sign_in.id = sign_in_id
        WHERE finished_at > now() - make_interval(secs => %s) AND kind <> 'project_profile' LIMIT %s
    ) AS recent GROUP BY channel, state
"""


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """Unfinished entries by kind and state; those that are postponed by reason; by how many seconds
    the oldest due one is overdue; and the messages finished in the last `WINDOW_SECONDS`, by
    channel and state.
    """

    unfinished: dict[tuple[str, str], int]
    postponed: dict[str, int]
    oldest_due_age: float
    finished_messages: dict[tuple[str, str], int]


def collect() -> OutboxStats:
    """Collects the statistics. Raises OperationalError, also after the statement timeout."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [_STATEMENT_TIMEOUT])
        cursor.execute(_COUNT_UNFINISHED, [COUNT_LIMIT])
        open_counts = cursor.fetchall()
        cursor.execute(_SELECT_OLDEST_DUE_AGE)
        ((oldest_due_age,),) = cursor.fetchall()
        cursor.execute(_COUNT_FINISHED_MESSAGES, [WINDOW_SECONDS, COUNT_LIMIT])
        finished = {(channel, state): count for channel, state, count in cursor.fetchall()}
    unfinished: dict[tuple[str, str], int] = dict.fromkeys(
        product(OutboxEntry.Kind.values, OutboxEntry.UNFINISHED), 0
    )
    postponed = dict.fromkeys(POSTPONED_REASONS, 0)
    for kind, state, reason, count in open_counts:
        unfinished[kind, state] += count
        if state == OutboxEntry.State.PENDING and reason in postponed:
            postponed[reason] += count
    return OutboxStats(
        unfinished,
        postponed,
        oldest_due_age,
        dict.fromkeys(product(CHANNELS, _FINISHED), 0) | finished,
    )
