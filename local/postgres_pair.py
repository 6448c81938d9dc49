"""A PostgreSQL primary and its streaming standby, for tests of failovers.

    pair = PostgresPair(folder)
    pair.start()             # the standby streams when this returns
    pair.url                 # a DATABASE_URL with both hosts, which leads to the primary
    pair.primary.kill()
    pair.promote()           # accepts writes when this returns; pair.primary is that one now
    pair.restore_standby()   # the other one follows it

Failover managers such as Patroni do the same, and decide when.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psycopg

from local.postgres import Postgres
from local.processes import StackError, stop_all
from local.tcp_ports import HOST

_STOP_TIMEOUT = 25.0
_STREAMING_TIMEOUT = 60.0
_PROMOTION_TIMEOUT = 60
# The standby may be away for as long as that is not exceeded.
_OPTIONS = {"wal_keep_size": "1GB"}


class PostgresPair:
    """Two servers, of which `standby` follows `primary`; `promote` swaps them.

    A commit returns once the standby has it on disk, so that a promotion loses none. `durable`, see
    `Postgres`.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.primary, self.standby = (
            Postgres(data_dir, name, _OPTIONS, durable=durable)
            for name in ("postgres-a", "postgres-b")
        )
        self._ports = [self.primary.port, self.standby.port]

    @property
    def url(self) -> str:
        """The URL with both hosts, for connections to the one that accepts writes."""
        hosts = ",".join(f"{HOST}:{port}" for port in self._ports)
        url = self.primary.url.replace(f"{HOST}:{self.primary.port}", hosts)
        return f"{url}?target_session_attrs=read-write"

    def start(self) -> None:
        """Starts the primary on its data, and the standby on a new copy of them.

        Raises `StackError`, with both stopped again.
        """
        with ExitStack() as stack:
            stack.callback(self.stop)
            self.primary.start()
            self.restore_standby()
            stack.pop_all()

    def stop(self) -> None:
        """Stops both, the primary first: it sends the rest of its WAL."""
        for server in (self.primary, self.standby):
            stop_all([server], _STOP_TIMEOUT)

    def restore_standby(self) -> None:
        """Makes the standby follow the primary from a new copy, and waits until it streams.

        Raises `StackError`.
        """
        self._set_synchronous(self.primary, False)  # its commits must not wait for the standby
        stop_all([self.standby], _STOP_TIMEOUT)
        self.standby.copy_from(self.primary)
        self.standby.start()
        self._wait_for_standby("async")
        self._set_synchronous(self.primary, True)
        self._wait_for_standby("sync")

    def promote(self) -> None:
        """Makes the standby the primary, on its own, after killing the other if it still runs: two
        that accept writes would diverge. Accepts writes when this returns.

        Raises `StackError`.
        """
        self.primary.kill()
        self.primary, self.standby = self.standby, self.primary
        # Or its commits would wait for a standby that it does not have.
        self._set_synchronous(self.primary, False)
        with _connect(self.primary) as connection:
            row = connection.execute("SELECT pg_promote(true, %s)", [_PROMOTION_TIMEOUT]).fetchone()
        if row != (True,):
            raise StackError(f"{self.primary.name} was not promoted\n{self.primary.log_tail()}")

    def _wait_for_standby(self, sync_state: str) -> None:
        query = "SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = %s"
        deadline = time.monotonic() + _STREAMING_TIMEOUT
        with _connect(self.primary) as connection:
            while not connection.execute(query, [sync_state]).rowcount:
                if self.standby.wait(timeout=0.02) or time.monotonic() > deadline:
                    raise StackError(
                        f"{self.standby.name} does not follow the primary\n"
                        f"{self.standby.log_tail()}"
                    )

    @staticmethod
    def _set_synchronous(server: Postgres, synchronous: bool) -> None:
        value = "'*'" if synchronous else "''"
        with _connect(server) as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = {value}")
            connection.execute("SELECT pg_reload_conf()")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _connect(server: Postgres) -> psycopg.Connection:
    return psycopg.connect(server.url, autocommit=True, connect_timeout=2)
