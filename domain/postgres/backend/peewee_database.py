"""The peewee database of Huey's dashboard, on our `Connection` to the same Postgres."""

from typing import Any, override

from peewee import PostgresqlDatabase, Psycopg3Adapter

from domain.postgres.backend.connection import Connection


class _Adapter(Psycopg3Adapter):
    @override
    def connect(self, db: PostgresqlDatabase, **params: Any) -> Connection:
        return Connection.connect(db.database, **params)


class PeeweeDatabase(PostgresqlDatabase):
    """Connects to a libpq URL with psycopg's options, and reconnects after errors.

    peewee alone keeps a connection that is lost, or that leads to a read-only server.
    """

    psycopg3_adapter = _Adapter

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, prefer_psycopg3=True, **options)

    @override
    def cursor(self, named_cursor: str | None = None) -> Any:
        is_lost = not self.is_closed() and self.connection().closed  # type: ignore[no-untyped-call]  # peewee has no types
        if is_lost and not self.in_transaction():
            self.close()
        return super().cursor(named_cursor)  # type: ignore[no-untyped-call]  # peewee has no types

    @override
    def rollback(self) -> None:
        """Ends a transaction that has failed together with its connection."""
        self.close()
