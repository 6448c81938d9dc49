"""The database backend that the settings name: Django's own, which asks less often."""

import select
from collections.abc import Mapping
from time import monotonic
from typing import Any, override

from django.db.backends.postgresql import base

_TRUSTED = 1.0  # seconds


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection, looked at before each request, but without a round trip if it can be.

    Django asks `SELECT 1` each time, so that Postgres may be restarted without failed requests.
    Here a connection that has answered within the last second is only listened to: a server that
    ends says so, or its kernel does, and of an open connection nothing is heard.
    """

    health_check_done: bool  # since the request began
    _answered_at = float("-inf")

    @override
    def get_new_connection(self, conn_params: Mapping[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        self._answered_at = monotonic()
        return connection

    @override
    def is_usable(self) -> bool:
        usable: bool = super().is_usable()
        if usable:
            self._answered_at = monotonic()
        return usable

    @override
    def close_if_health_check_failed(self) -> None:
        if self.connection is not None and not self.health_check_done:
            fresh = monotonic() < self._answered_at + _TRUSTED
            self.health_check_done = fresh and _is_silent(self.connection.fileno())
        super().close_if_health_check_failed()


def _is_silent(socket: int) -> bool:
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return not poll.poll(0)
