"""Records what one process writes, while others go on: into Postgres and the profile Redis."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.support.forwarder import Forwarder

_APPLICATION = "recorded"
_SET_UP = f"""
CREATE TABLE recorded_writes (relation text);
CREATE FUNCTION record_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('application_name') = '{_APPLICATION}' THEN
    INSERT INTO recorded_writes VALUES (TG_TABLE_NAME);
  END IF;
  RETURN NULL;
END $$;
"""
_TEAR_DOWN = "DROP FUNCTION record_write; DROP TABLE recorded_writes"
_TABLES = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'recorded_writes'"
)
_TRIGGER = """
CREATE TRIGGER record_write AFTER INSERT OR UPDATE OR DELETE ON {}
FOR EACH ROW EXECUTE FUNCTION record_write()
"""
_REDIS_WRITE = re.compile(
    rb"(?i)\r\n(?:evalsha|eval|hset\w*|del|unlink|zadd)\r\n(?:[^*]*)p:[0-9a-f]{32}"
)


class WriteRecorder(Forwarder):
    """Gives a process the `env` under which its writes are recorded, of all tables but none that
    was rolled back, and of profile hashes.
    """

    def __init__(self, connection: psycopg.Connection, database_url: str, redis_url: str) -> None:
        host, _, port = redis_url.rpartition("/")[0].rpartition(":")
        super().__init__(int(port))
        self._connection, self._sent = connection, bytearray()
        self._database_url, self._redis_host = database_url, host

    def take(self) -> set[str]:
        """Returns what was written since the last call: names of tables, or "redis"."""
        rows = self._connection.execute("SELECT DISTINCT relation FROM recorded_writes").fetchall()
        if rows:
            self._connection.execute("DELETE FROM recorded_writes")
        sent, self._sent[:] = bytes(self._sent), b""
        return {row[0] for row in rows} | ({"redis"} if _REDIS_WRITE.search(sent) else set())

    @property
    def env(self) -> dict[str, str]:
        return {
            "DATABASE_URL": f"{self._database_url}?application_name={_APPLICATION}",
            "REDIS_URL": f"{self._redis_host}:{self.port}/0",
        }

    def on_data(self, data: bytes) -> None:
        self._sent += data


@contextmanager
def record_writes(database_url: str, redis_url: str) -> Iterator[WriteRecorder]:
    """Adds a trigger to every table of the database, and removes it at the end.

    Each in a transaction of its own: with the locks of all tables there would be deadlocks.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_SET_UP)
        tables = [sql.Identifier(table) for (table,) in connection.execute(_TABLES)]
        for table in tables:
            connection.execute(sql.SQL(_TRIGGER).format(table))
        try:
            with WriteRecorder(connection, database_url, redis_url) as recorder:
                yield recorder
        finally:
            for table in tables:
                connection.execute(sql.SQL("DROP TRIGGER record_write ON {}").format(table))
            connection.execute(_TEAR_DOWN)
