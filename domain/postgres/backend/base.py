"""The database backend of the settings: Django's own, on connections with a deadline.

It also saves a round trip for each request. Why not psycopg_pool, through Django's `pool` option: a
request with one SELECT costs 225 us of CPU with it, 110 with Django's persistent connections and 70
with these; and a pool has no deadline either.
"""

import select
from collections.abc import Mapping
from time import monotonic
from types import SimpleNamespace
from typing import Any, override

import psycopg
from django.db.backends.postgresql import base

from domain.postgres.backend.connection import Connection

_HEALTH_CHECK_TTL = 1.0  # seconds


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection to Postgres, on our `Connection`, with a cheaper health check.

    Django sends `SELECT 1` before each request, so that Postgres may be restarted without failed
    requests. Here a connection that was used within the last second is only polled: a server that
    exits closes its connections, or its kernel does, and an open connection has no pending input.
    """

    Database = SimpleNamespace(  # type: ignore[assignment]  # psycopg, with our `connect`
        **{**vars(psycopg), "connect": Connection.connect}
    )
    health_check_done: bool  # since the request began
    _last_used_at = float("-inf")

    @override
    def get_new_connection(self, conn_params: Mapping[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        self._last_used_at = monotonic()
        return connection

    @override
    def is_usable(self) -> bool:
        try:
            self.connection.ping()
        except psycopg.Error:
            return False
        self._last_used_at = monotonic()
        return True

    @override
    def close_if_health_check_failed(self) -> None:
        if self.connection is not None and not self.health_check_done:
            fresh = monotonic() < self._last_used_at + _HEALTH_CHECK_TTL
            self.health_check_done = fresh and _has_no_pending_input(self.connection.fileno())
        super().close_if_health_check_failed()


def _has_no_pending_input(socket: int) -> bool:
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return not poll.poll(0)
