"""Queries of the outbox that read many entries."""

from datetime import datetime
from uuid import UUID

import psycopg
import structlog
from django.db import OperationalError

from domain.postgres.sql import fetch_all
from domain.postgres.statement_timeout import statement_timeout

log = structlog.get_logger(__name__)

_CHANGED_TIMEOUT = 10.0  # seconds; a person is projected in a third of a millisecond
# One statement, and so one snapshot: an entry that is finished at this moment is in one of the two.
# Each has an index; with OR, Postgres would read the whole table.
_SELECT_CHANGED = """
    (SELECT person_id FROM rollcall_outboxentry
        WHERE kind = 'project_profile' AND state IN ('pending', 'queued', 'running')
        LIMIT %(rows)s)
    UNION ALL
    (SELECT person_id FROM rollcall_outboxentry
        WHERE kind = 'project_profile' AND finished_at IS NOT NULL AND finished_at >= %(since)s
        LIMIT %(rows)s)
"""


def changed_since(since: datetime, limit: int) -> list[UUID] | None:
    """Returns the people with a change whose projection is unfinished or was finished after
    `since`; None if there are more than `limit` changes, or they cannot be listed in 10 seconds.

    Raises Django's `OperationalError` and `InterfaceError` when Postgres is unavailable.
    """
    try:
        with statement_timeout(_CHANGED_TIMEOUT):
            rows = fetch_all(_SELECT_CHANGED, {"since": since, "rows": limit + 1})
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
        log.warning("changed_people_query_timed_out", seconds=_CHANGED_TIMEOUT)
        return None
    if len(rows) > limit:
        return None
    return list(dict.fromkeys(person_id for (person_id,) in rows if person_id is not None))
